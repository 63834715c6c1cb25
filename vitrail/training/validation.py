"""Logits of held-out images while training goes on: exactly as the finished package will give them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitrail.data.columns import LabelledImages
from vitrail.data.loader import pixel_batches
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.prefix_cache import PrefixCache
from vitrail.models.chain import Chain
from vitrail.prediction.runtimes.runtime import Readout
from vitrail.prediction.runtimes.torch_runtime import EXACT


@dataclass(frozen=True)
class Validation:
    """What the figures of an epoch are computed on.

    Attributes:
        images: the validation images.
        preprocessing: as in the package.
        batch_size: images per forward pass.
        workers: processes that decode.
    """

    images: LabelledImages
    preprocessing: Preprocessing
    batch_size: int
    workers: int


def exact_logits(
    chain: Chain, validation: Validation, device: torch.device, *, cache: PrefixCache | None = None
) -> Float[np.ndarray, "N K"]:
    """The model's logits in float32 and evaluation mode, from the images or from a float32 cache of their states.

    The model's mode is left as it was.
    """
    start = cache.cut if cache is not None else 0
    readout = Readout(
        f"logits from place {start}", lambda _: lambda batch: (chain.run(batch, start, chain.logits),)
    )  # fmt: skip
    with EXACT.applied(chain.model, validation.preprocessing, device, readout=readout) as forward:
        answers = [forward(batch)[0].numpy() for batch in _inputs(validation, cache)]
    return np.concatenate(answers)


def _inputs(validation: Validation, cache: PrefixCache | None) -> Iterator[np.ndarray | Tensor]:
    size = validation.batch_size
    if cache is None:
        places, shown = validation.images.places, validation.preprocessing
        yield from pixel_batches(places, shown, batch_size=size, workers=validation.workers)
        return
    for start in range(0, len(validation.images), size):
        yield cache.states.rows(np.arange(start, min(start + size, len(validation.images))))
