"""Packages that tell classes apart, and the same ones with a fault planted: what an admission is to find out.

The networks are random; their heads are fitted by least squares to the features of images, within a second.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from vitrail.data.preprocessing import Preprocessing
from vitrail.models.catalogue import build_model, preprocessing_of
from vitrail.models.heads import feature_width, set_linear_head
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import PackageContents, read_package, write_package
from vitrail.models.package_parts import with_part
from vitrail.models.seal import seal_folder
from vitrail.prediction.answers import gathered_answers
from vitrail.prediction.predictor import load
from vitrail.prediction.reference_making import KnownFeatures, made_reference

Head = tuple[torch.Tensor, torch.Tensor]


def images_of(data: Path) -> list[tuple[Path, str]]:
    """Files of class folders with their labels."""
    return [(file, folder.name) for folder in sorted(data.iterdir()) for file in sorted(folder.iterdir())]


def fitted_package(
    folder: Path, data: Path, *, model: str = "test_vit", pretrained: bool = False, size: int = 48, seed: int = 0,
    ridge: float = 1e-2, sharpness: float = 8.0, change: Callable[[Head], Head] = lambda head: head,
    reference: bool = True,
) -> Path:  # fmt: skip
    """A package whose head was fitted to the images of class folders.

    Args:
        folder: must not exist yet.
        data: class folders; every third image says what is usual.
        model: of timm, or a folder with weights.
        pretrained: whether its weights are taken.
        size: pixels a side, where the network takes any.
        seed: of the random weights.
        ridge: of the least squares, in mean squares of features.
        sharpness: of the answers.
        change: plants a fault into the head.
        reference: whether the package knows what its images are like.
    """
    classes = sorted({label for _, label in images_of(data)})
    plain, head = folder.with_name(f"{folder.name}-plain"), None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sized: dict[str, Any] = {"image_size": size} if "vit" in model else {}
        ready = build_model(ModelSettings.parse(name=model, pretrained=pretrained, **sized), num_classes=10)
        width = feature_width(ready.model)
        set_linear_head(ready.model, torch.randn(len(classes), width), torch.zeros(len(classes)))
    shown = preprocessing_of(ready.model) if pretrained else Preprocessing(
        height=size, width=size, crop_fraction=0.95, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    )  # fmt: skip
    contents = PackageContents(classes=tuple(classes), preprocessing=shown, card="# Small\n")
    beginning = folder.with_name(f"{folder.name}-beginning")
    write_package(beginning, ready, contents=contents)
    features, labels = _features(beginning, data, classes)
    head = _least_squares(features, labels, len(classes), ridge)
    set_linear_head(ready.model, *change((head[0] * sharpness, head[1] * sharpness)))
    target = plain if reference else folder
    write_package(target, ready, contents=contents)
    if reference:
        held_out = np.arange(len(labels)) % 3 == 0
        known = KnownFeatures(
            features[~held_out], labels[~held_out], features[held_out], labels[held_out], None, "held out"
        )
        part = made_reference(known, classes=len(classes), preprocessing=shown)
        with_part(read_package(target), part, folder)
    return folder


def _features(package: Path, data: Path, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    files = images_of(data)
    predictor = load(package, device="cpu", runtime="torch")
    answers = gathered_answers(predictor.answers([str(file) for file, _ in files], batch_size=32, workers=0))
    return answers.features, np.array([classes.index(label) for _, label in files])


def _least_squares(features: np.ndarray, labels: np.ndarray, classes: int, ridge: float) -> Head:
    mean = features.mean(0)
    centred = (features - mean).astype(np.float64)
    targets = np.eye(classes)[labels] - 1 / classes
    penalty = ridge * len(centred) * (centred**2).mean() * np.eye(centred.shape[1])
    weight = np.linalg.solve(centred.T @ centred + penalty, centred.T @ targets).T
    bias = -weight @ mean
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


def permuted(head: Head) -> Head:
    """Every class has another's name."""
    return head[0].roll(1, 0), head[1].roll(1, 0)


def without_first_class(head: Head) -> Head:
    """The first class is never answered."""
    bias = head[1].clone()
    bias[0] -= 1000.0
    return head[0], bias


def unsure(head: Head) -> Head:
    """Right as often, and never sure."""
    return head[0] * 0.01, head[1] * 0.01


def with_nan(package: Path, folder: Path) -> Path:
    """A copy whose weights are no numbers, sealed as if nothing were wrong."""
    import json
    import shutil

    from vitrail.basics.files import sha256_of

    shutil.copytree(package, folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    next(iter(weights.values())).fill_(float("nan"))
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    facts: Mapping[str, Any] = json.loads((folder / "vitrail.json").read_text())
    facts["describes"]["model.safetensors"] = sha256_of(folder / "model.safetensors")
    (folder / "vitrail.json").write_text(json.dumps(facts))
    seal_folder(folder)
    return folder
