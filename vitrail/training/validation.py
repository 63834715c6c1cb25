"""Logits of held-out images while training goes on: exactly as the finished package will give them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from vitrail.data.columns import LabelledImages
from vitrail.data.loader import pixel_batches
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.prefix_cache import PrefixCache
from vitrail.models.chain import Chain
from vitrail.models.inputs import Inputs, Pixels
from vitrail.prediction.runtimes.runtime import Readout
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.training.sources import HeldOut


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

    @property
    def labels(self) -> Int[np.ndarray, "N"]:
        """Class numbers."""
        return self.images.labels

    def pixels(self) -> Iterator[UInt8[np.ndarray, "B H W C"]]:
        """All images, decoded by worker processes."""
        return pixel_batches(
            self.images.places, self.preprocessing, batch_size=self.batch_size, workers=self.workers
        )  # fmt: skip


@dataclass(frozen=True)
class HeldOutPixels:
    """Held-out images that lie in memory as their model takes them."""

    all_pixels: UInt8[np.ndarray, "N H W C"]
    labels: Int[np.ndarray, "N"]
    preprocessing: Preprocessing
    batch_size: int

    def pixels(self) -> Iterator[UInt8[np.ndarray, "B H W C"]]:
        """All images, in batches."""
        for start in range(0, len(self.all_pixels), self.batch_size):
            yield self.all_pixels[start : start + self.batch_size]


def exact_logits(
    chain: Chain, held_out: HeldOut, device: torch.device, *, cache: PrefixCache | None = None
) -> Float[np.ndarray, "N K"]:
    """The model's logits in float32 and evaluation mode; see `exact_states`."""
    return exact_states(chain, held_out, device, chain.logits, cache=cache)


def exact_states(
    chain: Chain, held_out: HeldOut, device: torch.device, until: int, *, cache: PrefixCache | None = None
) -> Float[np.ndarray, " N *state"]:
    """What stands at place `until` of the chain, in float32 and evaluation mode, from the images or from a float32
    cache of their states.

    The model's mode is left as it was.
    """
    start = cache.cut if cache is not None else 0
    readout = Readout(
        f"place {until} from place {start}", lambda _: lambda batch: (chain.run(batch, start, until),)
    )  # fmt: skip
    with EXACT.applied(chain.model, held_out.preprocessing, device, readout=readout) as forward:
        answers = [forward(batch)[0].numpy() for batch in _inputs(held_out, cache)]
    return np.concatenate(answers)


def _inputs(held_out: HeldOut, cache: PrefixCache | None) -> Iterator[Inputs]:
    if cache is None:
        yield from map(Pixels, held_out.pixels())
        return
    count, size = len(held_out.labels), held_out.batch_size
    for start in range(0, count, size):
        yield cache.inputs(np.arange(start, min(start + size, count)))
