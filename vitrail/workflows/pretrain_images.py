"""The images of pretraining: formula images that are trained on, others of their classes, and real digits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8

from vitrail.basics.events import Emit
from vitrail.basics.seeds import derived_seed
from vitrail.data.digits import digits_folder
from vitrail.data.formula.stored_images import stored_formula_images
from vitrail.data.loader import pixel_batches
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.probe import ProbeSettings, fit_probe
from vitrail.models.chain import Chain
from vitrail.models.heads import pooled_features
from vitrail.prediction.runtimes.runtime import Readout
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.training.validation import HeldOutPixels
from vitrail.workflows.pretrain_settings import PretrainSettings

DIGITS_LEARNED, DIGITS_JUDGED = 400, 800
"""Digits that the probe is fitted on, and others that judge it (standard error about 1 point)."""

_PROBE = ProbeSettings(strengths=(1e-2, 1e-1, 1.0, 10.0), folds=3)


@dataclass(frozen=True)
class FormulaSet:
    """The formula images of a run.

    Attributes:
        pixels: those that are trained on, on disk.
        labels: their classes.
        held_out: other renderings of the same classes, in the size of the finished model.
        sample: some of the training images, seen as the held-out ones are.
        redrawn: how often a class's numbers were drawn again for an almost empty image.
    """

    pixels: UInt8[np.ndarray, "N S S 3"]
    labels: Int[np.ndarray, "N"]
    held_out: HeldOutPixels
    sample: HeldOutPixels
    redrawn: int


def formula_set(
    settings: PretrainSettings, shown: Preprocessing, folder: Path, *, batch_size: int, workers: int, emit: Emit
) -> FormulaSet:
    """Render what is not there yet, and set the last renderings of every class aside.

    Args:
        settings: of the whole run.
        shown: how the finished model sees an image.
        folder: where formula images are kept.
        batch_size: of the passes through held-out images.
        workers: processes that render.
        emit: receives progress.

    Raises:
        InputError: another process renders this set, or classes cannot be drawn.
        SystemFault: the disk has no room.
    """
    classes, aside = settings.images.classes, settings.training.held_out_renderings
    both = settings.images.model_copy(update={"renderings": settings.images.renderings + aside})
    stored = stored_formula_images(both, folder, workers=workers, emit=emit)
    trained = settings.images.renderings * classes

    def as_seen(rows: slice) -> HeldOutPixels:
        return HeldOutPixels(resized(stored.pixels[rows], shown.height), stored.labels[rows], shown, batch_size)

    return FormulaSet(
        stored.pixels[:trained], stored.labels[:trained], as_seen(slice(trained, None)),
        as_seen(slice(0, min(trained, classes * aside))), stored.redrawn,
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


def digits_probe(shown: Preprocessing, device: torch.device, *, seed: int, batch_size: int) -> Callable[[Chain], float]:
    """A measurement of a model: the accuracy of a linear probe on its frozen pooled features of real digits.

    Args:
        shown: how the model sees an image.
        device: where the model is.
        seed: of the digits that are taken.
        batch_size: of the passes.
    """
    pixels, labels = _digits(shown, seed)
    readout = Readout("pooled features", lambda model: lambda batch: (pooled_features(model, batch),))

    def accuracy(chain: Chain) -> float:
        with EXACT.applied(chain.model, shown, device, readout=readout) as forward:
            parts = [forward(pixels[start : start + batch_size])[0] for start in range(0, len(pixels), batch_size)]
        features = torch.cat(parts).numpy()
        probe = fit_probe(features[:DIGITS_LEARNED], labels[:DIGITS_LEARNED], _PROBE, seed=seed)
        answers = probe.logits(features[DIGITS_LEARNED:]).argmax(axis=1)
        return float((answers == labels[DIGITS_LEARNED:]).mean())

    return accuracy


def _digits(shown: Preprocessing, seed: int) -> tuple[UInt8[np.ndarray, "N H W C"], Int[np.ndarray, "N"]]:
    files = sorted(digits_folder().glob("*/*.png"))
    order = np.random.default_rng(derived_seed(seed, "digits")).permutation(len(files))
    drawn = [files[place] for place in order[: DIGITS_LEARNED + DIGITS_JUDGED]]
    places = [(str(file), 0) for file in drawn]
    batches = pixel_batches(places, shown, batch_size=len(places), workers=0)
    return np.concatenate(list(batches)), np.array([int(file.parent.name) for file in drawn])
