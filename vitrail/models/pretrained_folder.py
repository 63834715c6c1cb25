"""A pretrained network without classifier as a folder: what `local-dir:` names, timm reads, and a fit starts from."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch

from vitrail.basics.files import atomic_folder, write_bytes, write_json
from vitrail.models.package import timm_config
from vitrail.models.ready import ReadyModel
from vitrail.models.seal import seal_folder

KeptIn = Literal["float32", "float16"]
WEIGHTS = "model.safetensors"
FIT_WHOLE = {
    "stages": ["all"], "epochs_factor": 6.0, "learning_rate": 1e-3, "layer_decay": 0.75, "in_doubt": "trained",
}  # fmt: skip
"""What a fit from such weights does unless told otherwise: frozen features that know formula images only are weak, so
the whole network is trained, and longer."""


def write_pretrained(folder: Path, built: ReadyModel, *, card: str, facts: Mapping[str, Any], kept_in: KeptIn) -> None:
    """Write `config.json`, `model.safetensors`, `README.md` and `pretraining.json`, sealed, and without the classifier.

    `fit` in `config.json` tells a fit how to start from such weights; timm does not look at it.

    Args:
        folder: must not exist yet; it appears under its name only when it is whole.
        built: the model with its description; it is not touched.
        card: the model card, in Markdown.
        facts: JSON values on how the weights came to be; no path may be among them.
        kept_in: how floating numbers are kept; float16 takes half the space.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    dtype: torch.dtype = getattr(torch, kept_in)
    model: Any = copy.deepcopy(built.model)
    model.reset_classifier(0)
    bare = replace(built, model=model, model_args={**built.model_args, "num_classes": 0})
    state = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    with atomic_folder(folder) as beginning:
        write_bytes(beginning / WEIGHTS, safetensors.torch.save(state, metadata={"format": "pt"}))
        write_json(beginning / "config.json", {**timm_config(bare, built.preprocessing, ()), "fit": FIT_WHOLE})
        write_json(beginning / "pretraining.json", dict(facts))
        write_bytes(beginning / "README.md", card.encode())
        seal_folder(beginning)
