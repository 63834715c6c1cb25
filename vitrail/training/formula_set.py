"""The images of a pretraining: formula images that are trained on, and other renderings of the same classes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8

from vitrail.basics.events import Emit
from vitrail.data.formula.settings import FormulaSettings
from vitrail.data.formula.stored_images import stored_formula_images
from vitrail.data.preprocessing import Preprocessing
from vitrail.training.validation import HeldOutPixels

JUDGED_AT_ONCE = 64
"""Held-out images per forward pass."""


@dataclass(frozen=True)
class FormulaSet:
    """The formula images of a run.

    Attributes:
        pixels: those that are trained on, on disk.
        labels: their classes.
        classes: how many there are.
        held_out: other renderings of the same classes, in the size of the finished model.
        sample: some of the training images, seen as the held-out ones are.
        redrawn: how often a class's numbers were drawn again for an almost empty image.
    """

    pixels: UInt8[np.ndarray, "N S S 3"]
    labels: Int[np.ndarray, "N"]
    classes: int
    held_out: HeldOutPixels
    sample: HeldOutPixels
    redrawn: int


def formula_set(
    settings: FormulaSettings, shown: Preprocessing, folder: Path, *, held_out_renderings: int,
    batch_size: int = JUDGED_AT_ONCE, workers: int, emit: Emit,
) -> FormulaSet:  # fmt: skip
    """Render what is not there yet, and set the last renderings of every class aside.

    Args:
        settings: of the images that are trained on.
        shown: how the finished model sees an image.
        folder: where formula images are kept.
        held_out_renderings: images of each class that are rendered beside them.
        batch_size: of the passes through held-out images.
        workers: processes that render.
        emit: receives progress.

    Raises:
        InputError: another process renders this set, or classes cannot be drawn.
        SystemFault: the disk has no room.
    """
    both = settings.model_copy(update={"renderings": settings.renderings + held_out_renderings})
    stored = stored_formula_images(both, folder, workers=workers, emit=emit)
    trained = settings.renderings * settings.classes

    def as_seen(rows: slice) -> HeldOutPixels:
        return HeldOutPixels(resized(stored.pixels[rows], shown.height), stored.labels[rows], shown, batch_size)

    return FormulaSet(
        stored.pixels[:trained], stored.labels[:trained], settings.classes, as_seen(slice(trained, None)),
        as_seen(slice(0, min(trained, settings.classes * held_out_renderings))), stored.redrawn,
    )  # fmt: skip


def resized(pixels: UInt8[np.ndarray, "N S S C"], size: int) -> UInt8[np.ndarray, "N size size C"]:
    """Square images in another size, averaged over what a pixel covers (bilinear, antialiased)."""
    if pixels.shape[1] == size:
        return np.array(pixels)
    small = [
        torch.nn.functional.interpolate(
            torch.from_numpy(np.array(part)).permute(0, 3, 1, 2).float(),
            size=(size, size), mode="bilinear", antialias=True,
        ).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        for part in np.array_split(pixels, max(1, len(pixels) // 256))
    ]  # fmt: skip
    return np.concatenate(small)
