"""What a store is to say of itself before its first row: settled on some of its images, or as it was begun."""

from typing import Any

from vitrail.basics.events import Emit, Noted
from vitrail.basics.versions import versions
from vitrail.data.image_list import ImageList
from vitrail.data.spread_pixels import spread_pixels
from vitrail.features.feature_pass import PassSettings
from vitrail.features.invariance import invariance_report
from vitrail.features.store.chosen_runtime import chosen_runtime
from vitrail.features.store.manifest import Manifest, Output
from vitrail.features.store.named_model import NamedModel
from vitrail.features.store.outputs import outputs_readout
from vitrail.features.store.size import rows_per_shard
from vitrail.prediction.runtimes.comparing import COMPARED_IMAGES
from vitrail.prediction.runtimes.runtime import Runtime


def asked_manifest(
    named: NamedModel, outputs: tuple[Output, ...], images: ImageList, before: Manifest | None, *, runtime: str,
    batch_size: int | None, emit: Emit,
) -> tuple[Manifest, Runtime]:  # fmt: skip
    """What the store's manifest must say, and with what the model is run; for a new store, with what was found on some
    of its images.

    Args:
        named: the model, with the scale of these images.
        outputs: that are kept.
        images: of the store.
        before: the manifest of the store that rows are added to; None for a new one.
        runtime: as asked for; see `chosen_runtime`.
        batch_size: as asked for; None: the store's, or by device.
        emit: receives what was decided.

    Raises:
        InputError: there is no such runtime, it disagrees with torch in float32, or not one image can be read.
        SystemFault: the runtime is not installed.
    """
    ready, readout = named.ready, outputs_readout(outputs)
    size = batch_size or (before.batch_size if before else PassSettings().batch_size_on(ready.device))
    sample = None if before else spread_pixels(images, ready.preprocessing, COMPARED_IMAGES)
    chosen, reason = chosen_runtime(
        runtime, before.runtime if before else None, ready, readout, sample, images=len(images)
    )
    emit(Noted(f"runtime  {reason}"))
    report = {}
    if sample is not None:
        report = invariance_report(ready, readout, outputs, chosen, sample[:size])
        emit(Noted(f"agrees   {_agreement(report)}"))
    asked = Manifest(
        outputs, ready.architecture, ready.weights_sha256, ready.preprocessing.model_dump(mode="json"),
        chosen.name, size, rows_per_shard(outputs, size), report, (versions(),),
    )  # fmt: skip
    return asked, chosen


def _agreement(report: dict[str, Any]) -> str:
    """The worst figures of any output."""
    words = []
    for name, text, count in (
        ("to_float32", "with float32", report["images"]),
        ("to_batch_of_one", "with a batch of one", report["images_alone"]),
    ):
        found = [each[name] for each in report["outputs"].values()]
        if any(value is None for each in found for value in each.values()):
            return "not measurable: there are features that are not finite"
        cosine = min(each["least_cosine"] for each in found)
        error = max(each["largest_relative_error"] for each in found)
        text += f" on {count} images" if count > 1 else " on 1 image"
        words.append(f"{text}: cosine {cosine:.6f} at least, relative error {error:.1e} at most")
    return "; ".join(words)
