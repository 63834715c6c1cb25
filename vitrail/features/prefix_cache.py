"""The prefix cache: what frozen layers make of every image and view, computed once, on disk, shared by stages."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from torch import Tensor, nn

from vitrail.basics.seeds import derived_seed
from vitrail.data.augmentation import AugmentationSettings
from vitrail.data.columns import AnyPlace
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.training_views import View, view_batches
from vitrail.features.feature_pass import PassMeans, PassWork, digest_of, run_pass
from vitrail.features.memory_map import FeatureMap, Storage
from vitrail.models.chain import Chain
from vitrail.models.inputs import Inputs, Pixels, States
from vitrail.models.ready import ReadyModel
from vitrail.prediction.runtimes.runtime import Readout


@dataclass(frozen=True)
class ViewedImages:
    """Images, and the fixed views of each that are used again and again; row `view * N + i` is view of image i.

    Attributes:
        places: where the N images lie.
        ids: their ids.
        augmentation: how a view is drawn; the identity gives the picture as it is judged.
        views: how many per image.
        seed: of the draws.
    """

    places: Sequence[AnyPlace]
    ids: list[str]
    augmentation: AugmentationSettings
    views: int
    seed: int

    def __len__(self) -> int:
        return len(self.places) * self.views

    def key(self) -> dict[str, Any]:
        """JSON-able description of what is seen."""
        augmentation = self.augmentation.model_dump(mode="json")
        return {"images": digest_of(self.ids), "views": self.views, "seed": self.seed, "augmentation": augmentation}

    def view(self, row: int) -> View:
        """Place and seed of one row; a view depends on the image's id and its number alone."""
        number, image = divmod(row, len(self.places))
        return self.places[image], view_seed(self.seed, self.ids[image], number)


AS_JUDGED = AugmentationSettings(smallest_crop=1.0, flip=False, brightness=0.0, contrast=0.0)
"""No augmentation at all: one view per image, the one that validation and predictions see."""


def view_seed(seed: int, identity: str, number: int) -> int:
    """The seed of view `number` of the image `identity`."""
    return derived_seed(seed, "view", identity, number)


@dataclass(frozen=True)
class PrefixCache:
    """States at a cut, one row per image and view."""

    cut: int
    images: int
    states: FeatureMap

    def inputs(self, rows: Int[np.ndarray, "B"]) -> States:
        """The states of these rows, as the chain takes them."""
        return States(self.states.rows(rows), self.cut)


def bytes_needed(chain: Chain, cut: int, *, images: tuple[int, int, int], rows: int, storage: Storage) -> int:
    """Size on disk of the states at `cut` of `rows` images (C, H, W)."""
    return rows * int(np.prod(chain.shape_at(cut, images))) * (2 if storage == "bfloat16" else 4)


def prefix_cache(
    ready: ReadyModel,
    cut: int,
    viewed: ViewedImages,
    folder: Path,
    means: PassMeans,
    *,
    storage: Storage,
    source: PrefixCache | None = None,
) -> PrefixCache:
    """Compute the states at `cut` of all views, from the images or from a cache of the same views before it.

    Args:
        ready: the model; nothing before `cut` may change as long as the cache is used.
        cut: place in the model's `Chain`.
        viewed: images and views.
        folder: where the cache is kept; an interrupted one is continued.
        means: how it is done.
        storage: how states are kept.
        source: a cache of the same views at an earlier cut; saves reading and the layers before it.

    Raises:
        InputError: the model cannot be cut there.
        UnreadableImageError: an image cannot be decoded.
        SystemFault: the disk is full, or a worker process died.
    """
    start, shown = source.cut if source else 0, ready.preprocessing

    def read(model: nn.Module) -> Callable[[Tensor], tuple[Tensor, ...]]:
        chain = Chain(model)
        return lambda batch: (chain.run(batch, start, cut),)

    work = PassWork(
        "computing frozen layers",
        {**viewed.key(), "from": start, "cut": cut},
        len(viewed),
        ready.chain.shape_at(cut, ready.input_shape),
        lambda batches: _inputs(viewed, shown, means, batches, source),
        Readout(f"states from place {start} to place {cut}", read),
        storage,
    )
    return PrefixCache(cut, len(viewed.places), run_pass(ready, work, folder, means))


def _inputs(
    viewed: ViewedImages, shown: Preprocessing, means: PassMeans, batches: list[int], source: PrefixCache | None
) -> Iterator[Inputs]:
    size = means.batch_size
    spans = [range(batch * size, min((batch + 1) * size, len(viewed))) for batch in batches]
    if source is not None:
        return (source.inputs(np.array(span)) for span in spans)
    views = ([viewed.view(row) for row in span] for span in spans)
    return map(Pixels, view_batches(views, shown, viewed.augmentation, workers=means.workers))
