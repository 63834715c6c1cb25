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
from vitrail.features.feature_pass import FrozenModel, PassMeans, PassSettings, feature_pass
from vitrail.prediction.runtimes.choosing import Choice, choose_runtime
from vitrail.prediction.runtimes.comparing import COMPARED_IMAGES
from vitrail.prediction.runtimes.known import still_installed
from vitrail.prediction.runtimes.runtime import Runtime, Workload
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.workflows.fit_data import FitImages


@dataclass(frozen=True)
class SplitFeatures:
    """Pooled features (N, D) by split, in the order of the split's rows; how and why so those of training images
    were computed."""

    by_split: dict[str, Float[np.ndarray, "_ D"]]
    runtime: Runtime
    reason: str


def compute_features(
    run: RunFolder, frozen: FrozenModel, images: FitImages, settings: PassSettings, *, emit: Emit
) -> SplitFeatures:
    """Run the feature pass over every split, resuming what an interrupted run left.

    Raises:
        UnreadableImageError: an image vanished since the check.
        SystemFault: the disk is full, or a worker process died.
    """
    choice = _chosen(run, frozen, images.rows, settings)
    emit(Noted(f"pass     {choice.reason}"))
    features = {}
    for split in ("train", "val", "test"):
        part = in_split(images.rows, split)
        if part.num_rows:
            runtime = choice.runtime if split == "train" else EXACT
            means = PassMeans(runtime, settings.batch_size_on(frozen.device), images.workers, emit)
            features[split] = feature_pass(frozen, part, run.work / f"features-{split}", means)
    return SplitFeatures(features, choice.runtime, choice.reason)


def _chosen(run: RunFolder, frozen: FrozenModel, rows: pa.Table, settings: PassSettings) -> Choice:
    """The runtime of the training pass: as journaled by the run that is continued, as asked for, or as suits
    machine and images."""
    before = run.noted("runtime")
    if before is not None:
        return Choice(still_installed(before["runtime"], thing=f"{run.path}: the run"), before["reason"])
    training, shown = in_split(rows, "train"), frozen.preprocessing
    places = evenly_chosen(checked_places(training), COMPARED_IMAGES)
    sample = next(pixel_batches(places, shown, batch_size=len(places), workers=0))
    workload = Workload(frozen.model, shown, frozen.device, sample)
    exact = settings.precision == "float32"
    choice = choose_runtime(workload, asked=settings.runtime, images=training.num_rows, exact=exact)
    run.note("runtime", **choice.as_json())
    return choice
