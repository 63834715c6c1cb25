"""How far features depend on how they were computed: in which precision, and beside how many other images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vitrail.features.store.manifest import Output
from vitrail.models.inputs import Pixels
from vitrail.models.ready import ReadyModel
from vitrail.prediction.runtimes.runtime import Readout, Runtime
from vitrail.prediction.runtimes.torch_runtime import EXACT

IMAGES_ALONE = 4
"""So many images are also computed one by one."""


def invariance_report(
    ready: ReadyModel,
    readout: Readout,
    outputs: Sequence[Output],
    runtime: Runtime,
    pixels: UInt8[np.ndarray, "B H W C"],
) -> dict[str, Any]:
    """Compare what is kept of a batch with the exact float32 of the same batch, and with the same images one by one.

    Returns:
        JSON-able: `images`, `images_alone`, and by output, for `to_float32` and `to_batch_of_one`, the least cosine of
        any image and the largest relative error: the greatest difference of any number, divided by the greatest number
        of that image.
    """
    alone = min(IMAGES_ALONE, len(pixels))
    with runtime.applied(ready.model, ready.preprocessing, ready.device, readout=readout) as forward:
        together = forward(Pixels(pixels))
        single = [forward(Pixels(pixels[index : index + 1])) for index in range(alone)]
    exact = together
    if runtime != EXACT:
        with EXACT.applied(ready.model, ready.preprocessing, ready.device, readout=readout) as forward:
            exact = forward(Pixels(pixels))
    by_output = {}
    for index, output in enumerate(outputs):
        kept = together[index].to(getattr(torch, output.kept))
        one_by_one = torch.cat([each[index] for each in single]).to(kept.dtype)
        by_output[output.name] = {
            "to_float32": _agreement(kept, exact[index]),
            "to_batch_of_one": _agreement(kept[:alone], one_by_one),
        }
    return {"images": len(pixels), "images_alone": alone, "outputs": by_output}


def _agreement(features: Float[Tensor, " B *shape"], reference: Float[Tensor, " B *shape"]) -> dict[str, float | None]:
    ours, theirs = features.double().flatten(1), reference.double().flatten(1)
    cosine = torch.nn.functional.cosine_similarity(ours, theirs).min()
    error = ((ours - theirs).abs().amax(dim=1) / theirs.abs().amax(dim=1).clamp_min(1e-30)).max()
    return {"least_cosine": _figure(cosine), "largest_relative_error": _figure(error)}


def _figure(value: Tensor) -> float | None:
    """None where features are not finite: JSON has no word for that."""
    return float(f"{value:.6g}") if torch.isfinite(value) else None
