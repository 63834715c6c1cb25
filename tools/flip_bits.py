"""Flip single bits in all files of a feature store, a finished run and an interrupted one, and see what comes of it.

After a flip the same command must end with the very answers of an unharmed folder, or with an error of ours that has
a hint; never with a traceback, and never with other answers: `python -m tools.flip_bits --count 200`.
"""

import argparse
import hashlib
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

import vitrail
from vitrail.basics.errors import VitrailError
from vitrail.workflows.fit import finish as recipe

FIT: dict[str, Any] = {
    "model": "test_vit", "pretrained": False, "image_size": 32, "workers": 0, "precision": "float32",
    "training_precision": "float32", "stages": "head,top", "head_epochs": 1, "top_epochs": 1, "in_doubt": "trained",
    "checkpoint_seconds": 0,
}  # fmt: skip


def write_images(folder: Path, *, seed: int = 0, each: int = 12) -> Path:
    """Two classes of small noisy pictures that differ in hue."""
    generator = np.random.default_rng(seed)
    for hue, name in enumerate(("red", "green")):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = generator.integers(0, 160, (32, 32, 3), dtype=np.uint8)
            pixels[..., hue] += 90
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def fitted(images: Path, out: Path) -> str:
    """What a fit ends with: a digest of the weights in its package."""
    vitrail.fit(images, out=out, **FIT)
    return weights_of(out)


def weights_of(run: Path) -> str:
    """A digest of the weights in a run's package."""
    return hashlib.sha256((run / "package" / "model.safetensors").read_bytes()).hexdigest()


def interrupted_run(images: Path, out: Path) -> None:
    """A fit that dies right before it writes its package: everything is computed, and everything is in `work`."""
    with mock.patch.object(recipe, "pack", side_effect=KeyboardInterrupt):
        try:
            vitrail.fit(images, out=out, **FIT)
        except KeyboardInterrupt:
            return
    raise AssertionError("the fit was not interrupted")


def stored(images: Path, out: Path) -> str:
    """What a store holds after `vitrail features` was called, by path: a digest that does not know the order."""
    vitrail.write_features("starter", images, nodes="norm", out=out, workers=0, runtime="torch float32")
    return rows_of(out)


def rows_of(out: Path) -> str:
    """A digest of a store's rows, and of its labels."""
    store = vitrail.open_features(out)
    rows = zip(store.paths, store.ids, store.labels, store.numpy(), strict=True)
    lines = (f"{path} {identity} {label} {row.tobytes().hex()}" for path, identity, label, row in rows)
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def flip(folder: Path, chance: random.Random) -> str:
    """Flip one bit of one file, every file as likely as every other; say where."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.stat().st_size]
    file = chance.choice(files)
    content = bytearray(file.read_bytes())
    place, bit = chance.randrange(len(content)), chance.randrange(8)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    return f"{file.relative_to(folder)}, byte {place}, bit {bit}"


def outcome(act: Callable[[], str], expected: str) -> str:
    """`same`, `refused`, or what went wrong."""
    try:
        found = act()
    except VitrailError as error:
        return "refused" if error.hint else f"WITHOUT A HINT: {error}"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what this looks for
        return f"TRACEBACK: {type(error).__name__}: {error}"
    return "same" if found == expected else "OTHER ANSWERS"


def flips(count: int, *, seed: int = 0) -> list[tuple[str, str, str]]:
    """Which kind of folder, where a bit was flipped, and what came of it; `count` times."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        images = write_images(root / "images")
        interrupted_run(images, root / "interrupted")
        expected = {"store": stored(images, root / "store"), "finished": fitted(images, root / "finished")}
        acts: dict[str, Callable[[Path], str]] = {
            "interrupted": lambda folder: fitted(images, folder),
            "store": rows_of,
            "continued store": lambda folder: stored(images, folder),
            "finished": lambda folder: (vitrail.load(folder / "package"), weights_of(folder))[1],
        }
        expected |= {"interrupted": expected["finished"], "continued store": expected["store"]}
        found = []
        for number in range(count):
            kind = list(acts)[number % len(acts)]
            shutil.copytree(root / kind.removeprefix("continued "), root / "harmed")
            where = flip(root / "harmed", chance)
            found.append((kind, where, outcome(lambda kind=kind: acts[kind](root / "harmed"), expected[kind])))
            shutil.rmtree(root / "harmed")
    return found


def main() -> None:
    """Print what went wrong, and how often everything else came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = flips(arguments.count, seed=arguments.seed)
    wrong = [each for each in found if each[2] not in ("same", "refused")]
    for kind, where, what in wrong:
        print(f"{kind}: {where}: {what}")
    for (kind, what), times in sorted(Counter((kind, what) for kind, _, what in found).items()):
        print(f"{times:5d}  {kind}: {what}")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
