"""How far a model is that never saw a photograph: a linear probe on its features of real handwritten digits."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int, UInt8

from vitrail.basics.seeds import derived_seed
from vitrail.data.digits import digits_folder
from vitrail.data.loader import pixel_batches
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.probe import ProbeSettings, fit_probe
from vitrail.models.chain import Chain
from vitrail.models.heads import pooled_features
from vitrail.models.inputs import Pixels
from vitrail.prediction.runtimes.runtime import Readout
from vitrail.prediction.runtimes.torch_runtime import EXACT

PROBE = "digits_probe_accuracy"
"""Under this name stands the accuracy in every record of an epoch."""
DIGITS_LEARNED, DIGITS_JUDGED = 400, 800
"""Digits that the probe is fitted on, and others that judge it (standard error about 1 point)."""

_PROBE = ProbeSettings(strengths=(1e-2, 1e-1, 1.0, 10.0), folds=3)


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
            parts = [
                forward(Pixels(pixels[start : start + batch_size]))[0] for start in range(0, len(pixels), batch_size)
            ]
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
