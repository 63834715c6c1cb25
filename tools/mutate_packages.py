"""Change a package at random, seal it again, open it: an error of ours, or the same answers; never anything else.

`python -m tools.mutate_packages --count 200` makes a small package and prints what the changes came to; the exit code
is 1 when one ended in a traceback, hung, answered otherwise, or touched the network or a file of somebody else.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vitrail
from tools.package_changes import Change, changed
from vitrail.basics.errors import VitrailError
from vitrail.basics.files import sha256_of
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.catalogue import build_model
from vitrail.models.heads import feature_width, set_linear_head
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import PackageContents, write_package

SECONDS = 30
GOOD = ("refused", "same answers", "as it was told")
_ALLOWED = ("/proc", "/sys", "/dev/null", "/dev/urandom", "/etc/localtime", sys.prefix, sys.base_prefix)


@dataclass(frozen=True)
class Outcome:
    """What a change came to: one of `GOOD`, or what must not be."""

    change: Change
    kind: str
    told: str


def small_package(folder: Path) -> Path:
    """A package of a tiny ViT with random weights and three classes."""
    torch.manual_seed(0)
    built = build_model(ModelSettings(name="test_vit", pretrained=False, image_size=32), num_classes=3)
    set_linear_head(built.model, torch.randn(3, feature_width(built.model)), torch.randn(3))
    shown = Preprocessing(
        height=32, width=32, crop_fraction=0.9, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), crop_mode="center"
    )
    provenance = {"weights": "random initialisation", "versions": {"timm": "1"}}
    contents = PackageContents(("ant", "bee", "wasp"), shown, "# Insects\n", {"accuracy": 0.9}, provenance)
    write_package(folder, built, contents=contents)
    return folder


def outcomes(count: int, *, seed: int = 0) -> Iterator[Outcome]:
    """`count` changes of a small package, each opened, asked and built upon."""
    images = list(np.random.default_rng(0).integers(0, 256, (3, 50, 40, 3), dtype=np.uint8))
    with tempfile.TemporaryDirectory() as place:
        package = small_package(Path(place) / "package")
        expected = _answers(package, images)
        for number in range(count):
            folder = Path(place) / f"changed {number}" / "package"
            shutil.copytree(package, folder)
            change = changed(folder, random.Random(f"{seed} {number}"))
            yield _outcome(change, folder, images, expected)
            shutil.rmtree(folder.parent)


def _outcome(change: Change, folder: Path, images: list[np.ndarray], expected: np.ndarray) -> Outcome:
    before = _digests(folder)
    watched = _Watched(folder)
    try:
        with _no_longer_than(SECONDS), watched:
            build = _refusal(lambda: build_model(ModelSettings(name=f"local-dir:{folder}")))
            told = _refusal(lambda: answers.append(_answers(folder, images))) if (answers := []) == [] else None
    except Exception as error:  # noqa: BLE001 - what must not happen is what is looked for
        return Outcome(change, f"ended in {type(error).__name__}", str(error)[:200])
    if watched.touched:
        return Outcome(change, "touched something else", watched.touched[0])
    if _digests(folder) != before:
        return Outcome(change, "changed the package", "")
    if told is not None:
        return Outcome(change, "refused", told)
    if answers[0].shape == expected.shape and np.array_equal(answers[0], expected):
        return Outcome(change, "same answers", build or "")
    return Outcome(change, "as it was told" if change.tells_another_answer else "answered otherwise", "")


def _refusal(action: Any) -> str | None:
    try:
        action()
    except VitrailError as error:
        return str(error)
    return None


def _answers(folder: Path, images: list[np.ndarray]) -> np.ndarray:
    answers = vitrail.load(folder, device="cpu").predict(images, workers=0)
    return np.array([list(answer.probabilities.values()) for answer in answers])


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.name: sha256_of(path) if path.stat().st_size < 2**30 else "large"
        for path in folder.iterdir()
        if path.is_file()
    }


@contextlib.contextmanager
def _no_longer_than(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class _Watched:
    """Notes files that are opened outside a folder, and looks at the network, through Python's audit events."""

    active: "_Watched | None" = None
    _hooked = False

    def __init__(self, folder: Path) -> None:
        self.allowed = (str(folder), str(Path(vitrail.__file__).parents[1]), *_ALLOWED)
        self.touched: list[str] = []

    def __enter__(self) -> "_Watched":
        if not _Watched._hooked:
            sys.addaudithook(_note)
            _Watched._hooked = True
        _Watched.active = self
        return self

    def __exit__(self, *_: object) -> None:
        _Watched.active = None


def _note(event: str, arguments: tuple) -> None:
    watching = _Watched.active
    if watching is None:
        return
    if event.startswith(
        ("socket.connect", "socket.getaddrinfo", "socket.gethostby", "urllib.", "subprocess.", "os.system")
    ):
        watching.touched.append(f"{event} {arguments[-1]}")
    elif event == "open" and isinstance(arguments[0], str | bytes):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        real = os.path.realpath(path)
        if not (path.startswith(watching.allowed) and real.startswith(watching.allowed)):
            watching.touched.append(f"{event} {path}")


def main() -> int:
    """Count, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many changes")
    parser.add_argument("--seed", type=int, default=0, help="of the changes")
    parser.add_argument("--verbose", action="store_true", help="every change with what it came to")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    bad = []
    for outcome in outcomes(asked.count, seed=asked.seed):
        counts[outcome.kind] += 1
        if outcome.kind not in GOOD:
            bad.append(outcome)
        if asked.verbose:
            print(
                f"{outcome.kind:<16} {outcome.change.words}  ->  {outcome.told.splitlines()[0] if outcome.told else ''}"
            )
    print(json.dumps(dict(counts)))
    for outcome in bad:
        print(f"NOT GOOD: {outcome.kind}: {outcome.change.words}: {outcome.told}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
