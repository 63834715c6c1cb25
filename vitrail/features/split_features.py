"""Features of every split: of training images in fast arithmetic where that is faithful to them, of all others exactly
as predictions will be made."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.data.checked_files import checked_places
from vitrail.data.columns import evenly_chosen, in_split
from vitrail.data.loader import pixel_batches
from vitrail.data.split_images import SplitImages
from vitrail.features.feature_pass import PassMeans, PassSettings, feature_pass
from vitrail.models.ready import ReadyModel
from vitrail.prediction.runtimes.choosing import RuntimeChoice, choose_runtime
from vitrail.prediction.runtimes.comparing import COMPARED_IMAGES
from vitrail.prediction.runtimes.known import still_installed
from vitrail.prediction.runtimes.runtime import Runtime, Workload
from vitrail.prediction.runtimes.torch_runtime import EXACT


@dataclass(frozen=True)
class SplitFeatures:
    """Pooled features (N, D) by split, in the order of the split's rows; how and why so those of training images
    were computed."""

    by_split: dict[str, Float[np.ndarray, "_ D"]]
    runtime: Runtime
    reason: str


def compute_features(
    run: RunFolder, ready: ReadyModel, images: SplitImages, settings: PassSettings, *, emit: Emit
) -> SplitFeatures:
    """Run the feature pass over every split, resuming what an interrupted run left.

    Raises:
        UnreadableImageError: an image vanished since the check.
        SystemFault: the disk is full, or a worker process died.
    """
    choice = _chosen(run, ready, images.rows, settings)
    emit(Noted(f"pass     {choice.reason}"))
    features = {}
    for split in ("train", "val", "test"):
        part = in_split(images.rows, split)
        if part.num_rows:
            runtime = choice.runtime if split == "train" else EXACT
            means = PassMeans(runtime, settings.batch_size_on(ready.device), images.workers, emit)
            features[split] = feature_pass(ready, part, run.work / f"features-{split}", means)
    return SplitFeatures(features, choice.runtime, choice.reason)


def _chosen(run: RunFolder, ready: ReadyModel, rows: pa.Table, settings: PassSettings) -> RuntimeChoice:
    """The runtime of the training pass: as journaled by the run that is continued, as asked for, or as suits
    machine and images."""
    before = run.noted("runtime")
    if before is not None:
        return RuntimeChoice(still_installed(before["runtime"], thing=f"{run.path}: the run"), before["reason"])
    training, shown = in_split(rows, "train"), ready.preprocessing
    places = evenly_chosen(checked_places(training), COMPARED_IMAGES)
    sample = next(pixel_batches(places, shown, batch_size=len(places), workers=0))
    workload = Workload(ready.model, shown, ready.device, sample)
    exact = settings.precision == "float32"
    choice = choose_runtime(workload, asked=settings.runtime, images=training.num_rows, exact=exact)
    run.note("runtime", **choice.as_json())
    return choice
