"""`vitrail features`: vectors from inside a model for every image of a data set, in a store that survives anything."""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.errors import FindingsError
from vitrail.basics.events import Emit, Noted, Recovered, nobody
from vitrail.basics.printable import printable
from vitrail.basics.stopwatch import Stopwatch
from vitrail.data.image_list import ImageList
from vitrail.data.workers import usable_cores
from vitrail.features.feature_pass import PassMeans
from vitrail.features.node_requests import parse_nodes
from vitrail.features.store.asked_manifest import asked_manifest
from vitrail.features.store.failures import read_failures
from vitrail.features.store.manifest import FAILURES, Manifest
from vitrail.features.store.named_model import named_model, with_tone
from vitrail.features.store.outputs import outputs_readout, store_outputs
from vitrail.features.store.size import tell_size
from vitrail.features.store.store_pass import Counted, store_pass
from vitrail.features.store.updates import Changes
from vitrail.features.store.writer import StoreWriter
from vitrail.pages.progress import sink_or_bars
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.prediction.runtimes.known import known_name
from vitrail.workflows.features.settings import FeaturesSettings

_SHOWN_FAILURES = 3


@dataclass(frozen=True, repr=False)
class FeaturesResult(ShownAsText):
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

    def lines(self) -> list[str]:
        """What is in the store now, and how it is opened."""
        counted, seconds = self.counted, max(self.seconds, 1e-9)
        shapes = {each.name: "×".join(map(str, each.shape)) for each in self.manifest.outputs}
        outputs = [f"{each.name:<24}{shapes[each.name]:>14}  {each.kept}" for each in self.manifest.outputs]
        rows, failures = sum(self.manifest.shards), self.manifest.failures
        missing = "1 image" if failures == 1 else f"{failures:,} images"
        earlier = self.changes.words()
        return [
            *outputs,
            "",
            f"rows     {rows:,}: {counted.added:,} added, {rows - counted.added:,} were there; "
            f"{missing} could not be read",
            *([f"earlier  {earlier}"] if earlier else []),
            f"store    {self.folder}",
            f"time     {seconds:.1f} s, {counted.added / seconds:,.0f} images/s in all",
            f"next     in Python: vitrail.open_features({str(self.folder)!r}).numpy({self.manifest.outputs[0].name!r})",
        ]

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
    model: str,
    data: Any,
    *,
    out: str | Path,
    overwrite: bool = False,
    workers: int | None = None,
    emit: Emit | None = None,
    **settings: Any,
) -> FeaturesResult:
    """Write what a model makes of every image into a feature store; what `vitrail features` does.

    Args:
        model: a package, or as for `fit`.
        data: as for `check`; labels may be missing, and images may lie in a folder without classes.
        out: the store's folder. A store that stands there is continued, or added to; images that are in it keep the
            labels and splits they were added with.
        overwrite: replace a store that was made in another way, or is finished.
        workers: processes that read images; None: one per core.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: any of `FeaturesSettings`' names, e.g. `nodes="blocks.3=cls,norm=mean"`, `dtype="float16"`.

    Returns:
        What is in the store now, and what became of every image; `print` shows it.

    Raises:
        FindingsError: images could not be read, and `on_bad_image="skip"` was not given; all others are in the store.
        InputError: data, model or settings are not as expected, or the store there was made in another way.
        SystemFault: disk, permission or network.
    """
    chosen = FeaturesSettings.gather(name=model, **settings)
    with sink_or_bars(emit) as emit:
        result = write_store(data, chosen, out=Path(out), overwrite=overwrite, workers=workers, emit=emit)
    if chosen.on_bad_image == "stop":
        result.refuse_failures()
    return result


def write_store(
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
        emit(Noted(f"model    {named.ready.architecture}: {named.origin}"))
        outputs = store_outputs(named.ready.model, named.ready.preprocessing, requests, settings.dtype)
        before = _continued(writer, images, overwrite=overwrite)
        processes = min(usable_cores(), 16) if workers is None else workers
        named = with_tone(named, images, before, workers=processes)
        tell_size(images, outputs, writer, before, emit=emit)
        manifest_for = functools.partial(
            asked_manifest, outputs=outputs, images=images, runtime=settings.runtime, batch_size=settings.batch_size,
            emit=emit,
        )  # fmt: skip
        asked, runtime = manifest_for(named, before=before)
        if before and overwrite and before.identity() != asked.identity():
            named = with_tone(named, images, None, workers=processes)
            asked, runtime = manifest_for(named, before=None)
        start = writer.begin(asked, images, overwrite=overwrite)
        for sentence in writer.recovered:
            emit(Recovered(f"damaged  {sentence}"))
        _tell_start(start, images, emit=emit)
        means = PassMeans(runtime, asked.batch_size, processes, emit)
        counted = store_pass(named.ready, outputs_readout(outputs), images, writer, start, means)
        finished = writer.finish()
    return FeaturesResult(out, finished, counted, writer.changes, watch.total)


def _continued(writer: StoreWriter, images: ImageList, *, overwrite: bool) -> Manifest | None:
    """The manifest of the store that rows are added to; None for a new one."""
    return writer.manifest if not overwrite or writer.is_continued_by(images) else None


def _tell_start(start: int, images: ImageList, *, emit: Emit) -> None:
    if start:
        emit(Noted(f"resumed  {start:,} of {len(images):,} images were done before"))
