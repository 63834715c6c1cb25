"""A package of random weights, as fast as one of trained ones."""

from pathlib import Path

import torch

from vitrail.models.catalogue import build_model
from vitrail.models.heads import feature_width
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import PackageContents, write_package

CLASSES = tuple(f"class {number}" for number in range(10))


def written_package(folder: Path, model: str, *, image_size: int | None = None) -> Path:
    """A package of this network in `folder`, by default for images of its own size."""
    torch.manual_seed(0)
    ready = build_model(ModelSettings(name=model, pretrained=False, image_size=image_size))
    ready.set_head(torch.randn(len(CLASSES), feature_width(ready.model)), torch.randn(len(CLASSES)))
    contents = PackageContents(CLASSES, ready.preprocessing, "# Random weights\n")
    write_package(folder / "package", ready, contents=contents)
    return folder / "package"
