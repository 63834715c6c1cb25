"""Makes `vitrail/models/starter` from a finished run of `vitrail pretrain formula`.

usage: python docs/ship_starter.py RUN [FOLDER] [--image-size 64]   (default FOLDER: vitrail/models/starter)

The weights become float16, the position table gets the size that a fit uses by default, the run's log lies beside them
as `metrics.jsonl`, the settings that repeat the run in `pretraining.json`, and a seal holds it all together.
"""

import argparse
import dataclasses
import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings
from vitrail.models.pretrained_folder import write_pretrained
from vitrail.models.ready import ReadyModel
from vitrail.models.seal import seal_folder
from vitrail.models.sources import STARTER_FOLDER

LICENCE = "apache-2.0"
CARD = """---
library_name: timm
license: {licence}
tags: [image-feature-extraction, timm, vitrail]
---

# The starter weights of Vitrail

A small Vision Transformer ({parameters:,} parameters, patches of {patch} pixels) that has seen {images_seen:,} views of
computed images and not a single photograph, drawing or scan: nobody's picture, licence or bias is in it. It comes with
`pip install vitrail` and needs no network.

- images: {classes:,} classes, {renderings:,} renderings of each: {families}
- how: {steps:,} steps of {images_per_step} images at {sizes} pixels, seed {seed}; all settings: `pretraining.json`; the
  loss of every step: `metrics.jsonl`
- afterwards: {accuracy:.1%} of held-out renderings told apart, and {digits:.1%} of 800 handwritten digits by a linear
  probe on frozen features
- training took {hours:.2f} hours, {precision}
- sizes: made for {image_size} pixels; the position table is resampled for others, from 32 to 224
- kept in float16, without a classifier

## What they are

A better beginning than random numbers, for training a **whole** network on your own images where no network is at hand
or nobody's photographs may come along:

```
vitrail fit YOUR_IMAGES --model starter
```

A fit from them trains everything, for longer than usual (`fit` in `config.json`); your own settings win.

## What they are not

- They are no classifier, and know no objects.
- Their frozen features are weak: a probe on them (`--preset quick`) is not what they are for.
- They do not replace weights from millions of photographs where these may be used.
- What they gain over starting from nothing differs between kinds of images: `vitrail study starter YOUR_IMAGES`
  measures it on yours. Vitrail's `docs/starter.md` says where they were found not to help.
"""


def ship(run: Path, folder: Path, *, image_size: int) -> None:
    """Write the folder anew from the run's package and log."""
    package = run / "package"
    built = build_model(ModelSettings(name=f"local-dir:{package}", image_size=image_size), num_classes=0)
    built = dataclasses.replace(built, pretrained_cfg={**built.pretrained_cfg, "license": LICENCE})
    facts = json.loads((package / "pretraining.json").read_text())
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        made = Path(beside) / folder.name
        write_pretrained(made, built, card=card(built, facts, image_size), facts=facts, kept_in="float16")
        shutil.copyfile(run / "metrics.jsonl", made / "metrics.jsonl")
        seal_folder(made)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(made, folder)


def card(built: ReadyModel, facts: dict[str, Any], image_size: int) -> str:
    """The model card, every number of it from the run."""
    settings, last = facts["settings"], facts["last_epoch"]
    images, training = settings["images"], settings["training"]
    return CARD.format(
        licence=LICENCE,
        parameters=sum(parameter.numel() for parameter in built.model.parameters()),
        patch=settings["network"]["patch"],
        images_seen=training["steps"] * training["images_per_step"],
        classes=images["classes"],
        families=", ".join(
            family.replace("_", " ") + (", twice as many" if count > 1 else "")
            for family, count in Counter(images["families"]).items()
        ),
        renderings=images["renderings"],
        steps=training["steps"],
        images_per_step=training["images_per_step"],
        sizes=", then ".join(dict.fromkeys(str(size) for size in training["sizes"])),
        seed=settings["seed"],
        accuracy=last["validation_accuracy"],
        digits=last["digits_probe_accuracy"],
        hours=facts["seconds"] / 3600,
        precision=facts["precision"],
        image_size=image_size,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=STARTER_FOLDER)
    parser.add_argument("--image-size", type=int, default=64)
    given = parser.parse_args()
    ship(given.run, given.folder, image_size=given.image_size)
