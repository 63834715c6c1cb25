"""The caches of the stages whose first layers are frozen: what fits on the disk, and how they are filled."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.basics.files import free_bytes
from vitrail.features.feature_pass import PassMeans
from vitrail.features.memory_map import Storage
from vitrail.features.prefix_cache import AS_JUDGED, PrefixCache, ViewedImages, bytes_needed, prefix_cache
from vitrail.models.ready import ReadyModel
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.training.batches import TrainingImages
from vitrail.training.settings import TrainingSettings
from vitrail.training.stages import Stage
from vitrail.training.validation import Validation

MOST_CACHE_BYTES = 64e9


@dataclass(frozen=True)
class Caches:
    """States at a stage's cut: of the training images' views, and of the validation images as they are judged."""

    training: PrefixCache | None = None
    validation: PrefixCache | None = None


def affordable_caches(
    stages: tuple[Stage, ...],
    ready: ReadyModel,
    settings: TrainingSettings,
    *,
    rows: tuple[int, int],
    storage: Storage,
    folder: Path,
) -> tuple[tuple[Stage, ...], tuple[str, ...]]:
    """The stages, the cache of each given up where the disk does not suffice; and what was given up, in words.

    Args:
        stages: in order.
        ready: the model.
        settings: what was asked for.
        rows: how many training and validation images there are.
        storage: how states of training views are kept.
        folder: on the disk where caches will be.

    Raises:
        InputError: a cache was asked for and does not fit.
    """
    gigabytes, free = settings.cache_gigabytes, free_bytes(folder)
    budget = min(0.9 * free, gigabytes * 1e9) if gigabytes else min(0.5 * free, MOST_CACHE_BYTES)
    images, held_out = rows
    planned, remarks = {}, []
    for stage in sorted(stages, key=lambda stage: -stage.cut):  # the smallest first
        if not stage.cached:
            planned[stage.name] = stage
            continue
        each = bytes_needed(ready.chain, stage.cut, images=ready.input_shape, rows=images, storage=storage)
        judged = bytes_needed(ready.chain, stage.cut, images=ready.input_shape, rows=held_out, storage="float32")
        wanted = stage.views or 1
        needed, room = f"{(judged + wanted * each) / 1e9:.1f} GB", f"{budget / 1e9:.1f} GB may be used"
        if int((budget - judged) // each) >= wanted:
            budget -= judged + wanted * each
            planned[stage.name] = stage
        elif settings.cache == "on":
            raise InputError(
                f"the cache of stage {stage.name} takes {needed}, {room}",
                hint="fewer --set views, or more --set cache_gigabytes, or --set cache=auto",
            )
        else:
            remarks.append(f"no cache in stage {stage.name}: {needed} would be needed, {room}")
            planned[stage.name] = dataclasses.replace(stage, cached=False, views=settings.views)
    return tuple(planned[stage.name] for stage in stages), tuple(remarks)


def filled_caches(
    stages: tuple[Stage, ...],
    ready: ReadyModel,
    training: TrainingImages,
    validation: Validation,
    means: PassMeans,
    *,
    storage: Storage,
    folder: Path,
) -> dict[str, Caches]:
    """The caches of the stages that have one, by stage; the earliest cut first, so that later cuts are computed from
    it.

    Args:
        stages: in order.
        ready: the model.
        training: the training images, whose fixed views are kept.
        validation: the validation images, kept as they are judged.
        means: how training views are computed; validation images are computed in float32.
        storage: how states of training views are kept.
        folder: where the caches are kept; interrupted ones are continued.

    Raises:
        UnreadableImageError: an image cannot be decoded.
        SystemFault: the disk is full, or a worker process died.
    """
    caches: dict[str, Caches] = {}
    before = Caches()
    judged = ViewedImages(validation.images.places, validation.images.ids, AS_JUDGED, 1, 0)
    exact = dataclasses.replace(means, runtime=EXACT)
    for stage in sorted((stage for stage in stages if stage.cached), key=lambda stage: stage.cut):
        viewed = ViewedImages(
            training.images.places, training.images.ids, training.augmentation, stage.views or 1, training.seed
        )
        # pooled features take next to nothing
        kept: Storage = "float32" if stage.cut == ready.chain.pooled else storage
        place = folder / f"cache-{stage.name}"
        before = caches[stage.name] = Caches(
            prefix_cache(ready, stage.cut, viewed, place / "train", means, storage=kept, source=before.training),
            prefix_cache(ready, stage.cut, judged, place / "val", exact, storage="float32", source=before.validation),
        )
    return caches
