"""What came of watching: the verdict on many images, and the report of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.basics.printable import encodable
from vitrail.basics.settings import Settings
from vitrail.data.columns import ImageHome
from vitrail.data.given_files import GivenFiles
from vitrail.data.inspection.findings import counted
from vitrail.evaluation.report import PAGE
from vitrail.evaluation.section import Section, Sentence
from vitrail.evaluation.shift import section_of_shift, stream_figures
from vitrail.evaluation.thumbnails import picture_or_none
from vitrail.measures.stream_test import StreamTest
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.prediction.predictor import Predictor
from vitrail.prediction.shift_stream import StreamStep
from vitrail.prediction.shift_verdict import ShiftSettings, ShiftVerdict, as_figures
from vitrail.prediction.unusual_images import UnusualImage
from vitrail.prediction.watched_images import WatchedImages


class WatchSettings(Settings):
    """What can be set for `watch`; `WatchSettings.gather` takes all of it by its own names."""

    stream: Path | None = None
    """A small file that keeps a test over all images of all calls, which may be looked at after each; an image that it
    has seen counts once."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    shift: ShiftSettings
    """When images count as shifted."""


@dataclass(frozen=True, repr=False)
class WatchResult(ShownAsText):
    """What `watch` says of images.

    Attributes:
        name: of the images.
        verdict: everything that was found.
        section: of the report.
        run: the run folder.
        report: the page to read; `report.json` beside it holds the same numbers.
        stream: the test over all images so far, where one is kept.
        fresh: images that were new to that stream.
        unread: by path, why images could not be read.
        seconds: from the call until everything was on disk.
    """

    name: str
    verdict: ShiftVerdict
    section: Section
    run: Path
    report: Path
    stream: StreamTest | None
    fresh: int | None
    unread: Mapping[str, str]
    seconds: float = 0.0

    @property
    def shift_detected(self) -> bool | None:
        """Whether more than 10 % of the images lie beyond the 95th percentile of held-out ones; None: too few images.

        The rule of the articles; `verdict.decision` has a test and sees shifts in which no single image is unusual."""
        return self.verdict.shift_detected

    @property
    def shift_score(self) -> float | None:
        """The share of images beyond the 95th percentile of held-out ones."""
        return self.verdict.shift_score

    @property
    def outlier_indices(self) -> Sequence[int]:
        """Which images these are: their places among those that were given, from 0."""
        return self.verdict.outlier_indices

    @property
    def is_shifted(self) -> bool:
        """Whether there is reason for alarm: the images as a whole are shifted, or the stream has changed."""
        return self.verdict.decision == "shifted" or (self.stream is not None and self.stream.alarm())

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            **as_figures(self.verdict),
            "outlier_indices": list(self.outlier_indices),
            "why": self.verdict.why,
            "stream": None if self.stream is None else {**stream_figures(self.stream), "new_images": self.fresh},
            "unread": {encodable(path): encodable(why) for path, why in self.unread.items()},
            "run": str(self.run),
            "report": str(self.report),
            "seconds": round(self.seconds, 2),
        }

    def lines(self) -> list[str]:
        """The verdict, what it rests on, and where the report is."""
        told = [f"{each.verdict or '':<18}{each.text}" for each in self.section.sentences]
        return [*told, "", f"report   {self.report}", f"time     {self.seconds:.1f} s"]


def watched_result(
    run: Path, watched: WatchedImages, files: GivenFiles, predictor: Predictor, *, after: StreamStep | None = None
) -> WatchResult:
    """The result of watching files, with the section of its report.

    Args:
        run: the run folder, in which the report will be.
        watched: the images.
        files: where they lie.
        predictor: that answered.
        after: the test over all images so far.
    """
    verdict, tone = watched.verdict(classes=predictor.classes), predictor.preprocessing.tone
    home = ImageHome.of_paths(files.paths)
    stream = None if after is None else after.stream.test

    def picture(each: UnusualImage) -> str | None:
        return picture_or_none(each.prediction.path, each.prediction.id, tone=tone)

    section = section_of_shift(verdict, watched.unusual.found, home=home, picture=picture, stream=stream)
    if watched.unread:
        section = replace(section, sentences=[*section.sentences, _unread_sentence(watched)])
    fresh = None if after is None else after.fresh
    return WatchResult(files.name, verdict, section, run, run / PAGE, stream, fresh, watched.unread)


def refuse_unread(watched: WatchedImages) -> None:
    """Raise where there is nothing to say anything of.

    Raises:
        InputError: no image could be read.
    """
    if watched.unread and not watched.ids:
        first = next(iter(watched.unread.values()))
        raise InputError(
            f"none of {counted(watched.given, 'image')} could be read, the first: {first}",
            hint="look at these files: vitrail check says what is wrong with each",
        )


def _unread_sentence(watched: WatchedImages) -> Sentence:
    first, count = next(iter(watched.unread.values())), len(watched.unread)
    return Sentence(
        f"{count:,} of {watched.given:,} images could not be read and {'has' if count == 1 else 'have'} no part in "
        f"this, the first: {first}"
    )
