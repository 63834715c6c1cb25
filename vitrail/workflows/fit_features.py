"""Features of every split: training images the fastest faithful way, all others exactly as predictions will be made."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.data.columns import in_split, places_of
from vitrail.data.loader import pixel_batches
from vitrail.features.feature_pass import FrozenModel, PassMeans, PassSettings, feature_pass
from vitrail.prediction.execution import EXACT, Execution, Trial, fastest, measure_executions, named_execution
from vitrail.workflows.fit_data import FitImages


@dataclass(frozen=True)
class SplitFeatures:
    """Pooled features (N, D) by split, in the order of the split's rows; how and why so those of training images
    were computed."""

    by_split: dict[str, Float[np.ndarray, "_ D"]]
    execution: Execution
    reason: str


def compute_features(
    run: RunFolder, frozen: FrozenModel, images: FitImages, settings: PassSettings, *, emit: Emit
) -> SplitFeatures:
    """Run the feature pass over every split, resuming what an interrupted run left.

    Raises:
        UnreadableImageError: an image vanished since the check.
        SystemFault: the disk is full, or a worker process died.
    """
    execution, reason = _execution(run, frozen, images.rows, settings)
    emit(Noted(f"pass     {reason}"))
    features = {}
    for split in ("train", "val", "test"):
        part = in_split(images.rows, split)
        if part.num_rows:
            means = PassMeans(
                execution if split == "train" else EXACT, settings.batch_size_on(frozen.device), images.workers, emit
            )
            features[split] = feature_pass(frozen, part, run.work / f"features-{split}", means)
    return SplitFeatures(features, execution, reason)


def _execution(run: RunFolder, frozen: FrozenModel, rows: pa.Table, settings: PassSettings) -> tuple[Execution, str]:
    """The execution of the training pass: as asked for, as journaled by the run that is continued, or measured."""
    if settings.precision == "float32":
        return EXACT, "float32, as asked for"
    before = run.noted("execution")
    if before is not None:
        return named_execution(before["execution"]), before["reason"]
    sample = next(pixel_batches(places_of(in_split(rows, "train"))[:8], frozen.preprocessing, batch_size=8, workers=0))
    trials = measure_executions(frozen.model, frozen.preprocessing, sample, device=frozen.device)
    best = fastest(trials)
    reason = _reason(best, trials[0])
    run.note("execution", execution=best.execution.name, reason=reason, trials=[trial.as_json() for trial in trials])
    return best.execution, reason


def _reason(best: Trial, exact: Trial) -> str:
    if best.execution == EXACT:
        return f"float32: the fastest here ({exact.images_per_second:.0f} images/s on this machine)"
    return (
        f"{best.execution.name}: {best.images_per_second / exact.images_per_second:.1f} times as fast as float32 here "
        f"({best.images_per_second:.0f} against {exact.images_per_second:.0f} images/s), features agree "
        f"(cosine {best.agreement:.4f} at least); validation and test images are computed in float32"
    )
