"""Features of the images that a kept model was trained and checked on: what new images are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from vitrail.basics.events import Emit, WorkAdvanced, WorkEnded, WorkStarted
from vitrail.data.checked_files import checked_places
from vitrail.data.columns import in_split, labels_of
from vitrail.data.loader import pixel_batches
from vitrail.data.split_images import SplitImages, numbered_groups
from vitrail.features.feature_pass import PassSettings, walk
from vitrail.models.inputs import Pixels
from vitrail.models.ready import ReadyModel
from vitrail.prediction.reference_making import MOST_IMAGES, KnownFeatures
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS
from vitrail.prediction.runtimes.torch_runtime import EXACT

_WORK = "features of known images"


@dataclass(frozen=True, eq=False)
class FrozenAnswers:
    """What was computed before anything but a probe was trained; of use where the probe was kept.

    Attributes:
        features: by split, in the order of its rows. Those of training images may be of fast arithmetic: off by a
            twentieth of what images differ by at most, which means and covariances of many do not feel.
        logits: of held-out splits.
    """

    features: Mapping[str, Float[np.ndarray, "_ D"]]
    logits: Mapping[str, Float[np.ndarray, "_ K"]]


def known_features(
    ready: ReadyModel, images: SplitImages, settings: PassSettings, *, frozen: FrozenAnswers | None, emit: Emit
) -> KnownFeatures:
    """Features of training and validation images, of at most `MOST_IMAGES` each, chosen evenly from their tables.

    Args:
        ready: the model that was kept.
        images: all images of the run.
        settings: batch size.
        frozen: what is there already, where the model was not trained beyond its probe; None: it is computed in
            float32, as predictions are.
        emit: receives progress.

    Raises:
        UnreadableImageError: an image vanished since the check.
        SystemFault: a worker process died.
    """
    chosen = {split: _chosen(images, split) for split in ("train", "val")}
    rows = {split: in_split(images.rows, split).take(pa.array(numbers)) for split, numbers in chosen.items()}
    if frozen is None:
        found = _computed(ready, rows, settings, workers=images.workers, emit=emit)
    else:
        found = {"train": (np.array(frozen.features["train"][chosen["train"]]), np.zeros(0, np.int64))}
        logits = frozen.logits["val"][chosen["val"]]
        found["val"] = np.array(frozen.features["val"][chosen["val"]]), logits.argmax(axis=1)
    return KnownFeatures(
        training=found["train"][0],
        labels=labels_of(rows["train"], images.classes),
        held_out=found["val"][0],
        predicted=found["val"][1],
        groups=numbered_groups(rows["val"]),
        source="training and validation images of the fit",
    )


def _chosen(images: SplitImages, split: str) -> Int[np.ndarray, "_"]:
    count = images.count(split)
    return np.unique(np.linspace(0, count - 1, min(count, MOST_IMAGES)).round().astype(np.int64))


def _computed(
    ready: ReadyModel, rows: Mapping[str, pa.Table], settings: PassSettings, *, workers: int, emit: Emit
) -> dict[str, tuple[Float[np.ndarray, "_ D"], Int[np.ndarray, "_"]]]:
    size = settings.batch_size_on(ready.device)
    emit(WorkStarted(_WORK, sum(part.num_rows for part in rows.values())))
    found = {}
    try:
        for split, part in rows.items():
            read = pixel_batches(checked_places(part), ready.preprocessing, batch_size=size, workers=workers)
            features, answers = [], []
            with walk(ready, FEATURES_AND_LOGITS, EXACT, ((Pixels(each), None) for each in read)) as computed:
                for _, (pooled, logits) in computed:
                    features.append(pooled.float().numpy())
                    answers.append(logits.argmax(dim=1).numpy())
                    emit(WorkAdvanced(_WORK, len(pooled)))
            found[split] = np.concatenate(features), np.concatenate(answers)
    finally:
        emit(WorkEnded(_WORK))
    return found
