"""`vitrail features`: vectors from inside a model for every image of a data set, in a store that survives anything."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.errors import FindingsError, InputError, SystemFault
from vitrail.basics.events import Emit, Noted, Recovered, nobody
from vitrail.basics.files import free_bytes
from vitrail.basics.printable import printable
from vitrail.basics.stopwatch import Stopwatch
from vitrail.basics.versions import versions
from vitrail.data.image_list import ImageList
from vitrail.data.spread_pixels import spread_pixels
from vitrail.data.workers import usable_cores
from vitrail.features.feature_pass import PassMeans, PassSettings
from vitrail.features.invariance import invariance_report
from vitrail.features.node_requests import NodeRequest, parse_nodes
from vitrail.features.readout import output_shapes, readout_of, without_patterns
from vitrail.features.store.chosen_runtime import chosen_runtime
from vitrail.features.store.failures import read_failures
from vitrail.features.store.manifest import FAILURES, ROW_COLUMNS, Manifest, Output
from vitrail.features.store.store_pass import Counted, store_pass
from vitrail.features.store.updates import Changes
from vitrail.features.store.writer import StoreWriter
from vitrail.prediction.runtimes.comparing import COMPARED_IMAGES
from vitrail.prediction.runtimes.known import known_name
from vitrail.prediction.runtimes.runtime import Readout, Runtime
from vitrail.workflows.features_model import NamedModel, named_model, with_tone
from vitrail.workflows.features_settings import FeaturesSettings

SHARD_BYTES = 100_000_000
"""About the size of a shard: few files for a million images, and none that is unwieldy."""
_SHOWN_FAILURES = 3
_ROW_BYTES = 150  # id, path, label and split of one image, roughly


@dataclass(frozen=True)
class FeaturesResult:
    """What a call of `vitrail features` did.

    Attributes:
        folder: the store.
        manifest: what is in it.
        counted: what became of the images.
        changes: what became of the rows that were there.
        seconds: how long it took.
    """

    folder: Path
    manifest: Manifest
    counted: Counted
    changes: Changes
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "store": str(self.folder),
            "rows": sum(self.manifest.shards),
            "added": self.counted.added,
            "known": self.counted.known,
            **dataclasses.asdict(self.changes),
            "failures": self.manifest.failures,
            "outputs": [each.as_json() for each in self.manifest.outputs],
            "runtime": self.manifest.runtime,
            "invariance": self.manifest.invariance,
            "seconds": round(self.seconds, 2),
        }

    def refuse_failures(self) -> None:
        """Raise when images are missing from the store.

        Raises:
            FindingsError: some could not be read.
        """
        count = self.manifest.failures
        if count:
            what = "1 image could not be read and is" if count == 1 else f"{count:,} images could not be read and are"
            first = "".join(f"\n  {printable(reason)}" for reason in self.first_failures())
            raise FindingsError(
                f"{what} missing from the store; {self.folder / FAILURES} has all reasons:{first}",
                hint="mend them and run the same command again, it tries them only; or accept this with "
                "--on-bad-image skip",
            )

    def first_failures(self) -> list[str]:
        """Why the first few of the missing images could not be read; each begins with its path."""
        reasons: list[str] = read_failures(self.folder)["reason"].slice(0, _SHOWN_FAILURES).to_pylist()
        return reasons


def write_features(
    data: Any, settings: FeaturesSettings, *, out: Path, overwrite: bool = False, workers: int | None = None,
    emit: Emit = nobody,
) -> FeaturesResult:  # fmt: skip
    """Write a feature store, add to one, or continue one that was interrupted.

    Rows belong to a path and frame. In a store that is there, an image with another content gets a new row in place of
    the old one, labels and splits are taken over from the data, and rows of other images stay.

    Args:
        data: as for `ImageList.write`.
        settings: model, nodes, and how they are computed.
        out: the store's folder.
        overwrite: replace a store that was made in another way, or is finished.
        workers: processes that read images; None: one per core, at most 16.
        emit: receives progress.

    Raises:
        InputError: data, model, nodes or settings are not as expected; the store there was made in another way.
        SystemFault: the disk is full, or a worker process died; the same call continues.
    """
    watch = Stopwatch()
    requests = parse_nodes(settings.nodes)
    known_name(settings.runtime)  # a misspelled one is refused before anything is loaded
    with StoreWriter.open(out) as writer:
        images = writer.list_images(data)
        named = named_model(settings.model, device=settings.device)
        emit(Noted(f"model    {named.architecture}: {named.weights}"))
        outputs = _outputs(named, requests, settings)
        before = _continued(writer, images, overwrite=overwrite)
        processes = min(usable_cores(), 16) if workers is None else workers
        named = with_tone(named, images, before, workers=processes)
        _tell_size(images, outputs, writer, before, emit=emit)
        asked, runtime = _asked(named, outputs, images, before, settings, emit=emit)
        if before and overwrite and before.identity() != asked.identity():
            named = with_tone(named, images, None, workers=processes)
            asked, runtime = _asked(named, outputs, images, None, settings, emit=emit)
        start = writer.begin(asked, images, overwrite=overwrite)
        for sentence in writer.recovered:
            emit(Recovered(f"damaged  {sentence}"))
        _tell_start(start, images, emit=emit)
        means = PassMeans(runtime, asked.batch_size, processes, emit)
        counted = store_pass(named.frozen, _readout(outputs), images, writer, start, means)
        finished = writer.finish()
    return FeaturesResult(out, finished, counted, writer.changes, watch.total)


def _outputs(named: NamedModel, requests: tuple[NodeRequest, ...], settings: FeaturesSettings) -> tuple[Output, ...]:
    model, shown = named.frozen.model, named.frozen.preprocessing
    size = {"channels": shown.channels, "height": shown.height, "width": shown.width}
    requests = without_patterns(requests, model, **size)
    taken = [each.node for each in requests if each.node in ROW_COLUMNS]
    if taken:
        raise InputError(
            f"a node called {taken[0]!r} cannot be kept: the store has a column of that name",
            hint="read the module around it, or rename that module of your model",
        )
    shapes = output_shapes(model, requests, **size)
    return tuple(
        Output(each.node, each.node, each.reduction, shape, settings.dtype)
        for each, shape in zip(requests, shapes, strict=True)
    )


def _readout(outputs: tuple[Output, ...]) -> Readout:
    return readout_of(tuple(NodeRequest(each.node, each.reduction) for each in outputs))  # type: ignore[arg-type]


def _continued(writer: StoreWriter, images: ImageList, *, overwrite: bool) -> Manifest | None:
    """The manifest of the store that rows are added to; None for a new one."""
    return writer.manifest if not overwrite or writer.is_continued_by(images) else None


def _tell_size(
    images: ImageList, outputs: tuple[Output, ...], writer: StoreWriter, before: Manifest | None, *, emit: Emit
) -> None:
    """Say how much there will be, and refuse what cannot fit.

    Raises:
        SystemFault: it cannot.
    """
    row = sum(each.row_bytes for each in outputs) + _ROW_BYTES
    # Which images are in the store already is known only once they are read.
    most = len(images) - (writer.seen_of(images) if before else 0)
    least = min(most, max(0, len(images) - writer.rows_there)) if before else most
    needed, free = least * row + min(SHARD_BYTES, least * row), free_bytes(writer.folder)
    what = " + ".join(f"{each.name} {'×'.join(map(str, each.shape))}" for each in outputs)
    upto = "up to " if not least else f"{least:,} to " if least < most else ""
    size = f"{_size(least * row)} to {_size(most * row)}" if 0 < least < most else f"{upto}{_size(most * row)}"
    images_said = "1 image" if most == 1 else f"{most:,} images"
    words = f"{upto}{images_said} × ({what}) in {outputs[0].kept}: {size}, {_size(free)} are free"
    emit(Noted(f"store    {words}"))
    if not images.labelled:
        emit(Noted("labels   none: the data has no class folders and no column 'label' (--columns label=…)", "warning"))
    if needed > free:
        raise SystemFault(
            f"{writer.folder}: the disk is too small: {words}, {_size(needed)} are needed while it is written",
            hint="reduce nodes, e.g. blocks.3=mean, halve it with --dtype float16, or choose another --out",
        )


def _asked(
    named: NamedModel, outputs: tuple[Output, ...], images: ImageList, before: Manifest | None,
    settings: FeaturesSettings, *, emit: Emit,
) -> tuple[Manifest, Runtime]:  # fmt: skip
    """What the store's manifest must say; for a new store, with what was found on some of its images."""
    frozen = named.frozen
    size = settings.batch_size or (before.batch_size if before else PassSettings().batch_size_on(frozen.device))
    sample = None if before else spread_pixels(images, frozen.preprocessing, COMPARED_IMAGES)
    readout = _readout(outputs)
    runtime, reason = chosen_runtime(
        settings.runtime, before.runtime if before else None, frozen, readout, sample, images=len(images)
    )
    emit(Noted(f"runtime  {reason}"))
    report = {}
    if sample is not None:
        report = invariance_report(frozen, readout, outputs, runtime, sample[:size])
        emit(Noted(f"agrees   {_agreement(report)}"))
    row = sum(each.row_bytes for each in outputs) + _ROW_BYTES
    asked = Manifest(
        outputs, named.architecture, frozen.weights_sha256, frozen.preprocessing.model_dump(mode="json"),
        runtime.name, size, max(1, SHARD_BYTES // row // size) * size, report, (versions(),),
    )  # fmt: skip
    return asked, runtime


def _tell_start(start: int, images: ImageList, *, emit: Emit) -> None:
    if start:
        emit(Noted(f"resumed  {start:,} of {len(images):,} images were done before"))


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


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"
