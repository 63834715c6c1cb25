"""`vitrail look`: what a model attends to, on images; and what it has learned before it sees one."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.calls import call_text
from vitrail.basics.events import Emit, Noted
from vitrail.basics.stopwatch import Stopwatch
from vitrail.basics.versions import versions
from vitrail.data.given_pictures import GivenPictures, given_pictures
from vitrail.evaluation.inside import inside_sections
from vitrail.evaluation.look_folder import LookFolder, digest_of
from vitrail.evaluation.look_sections import look_sections
from vitrail.evaluation.look_settings import LookSettings
from vitrail.evaluation.looking_through import Looked, look_through
from vitrail.evaluation.report import Report, write_report
from vitrail.features.attention.looked_model import LookedModel, looked_model
from vitrail.features.attention.looking import Looker
from vitrail.pages.look_lines import image_line
from vitrail.pages.progress import sink_or_bars
from vitrail.pages.shown_as_text import ShownAsText

_SHOWN = 20


@dataclass(frozen=True, repr=False)
class LookResult(ShownAsText):
    """What `vitrail look` made.

    Attributes:
        model: what was looked into.
        folder: where pictures, figures and page are.
        report: the page.
        looked: what was seen of images; None where there were none.
        seconds: how long it took.
    """

    model: str
    folder: Path
    report: Path
    looked: Looked | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`; figures of every image are in `images.jsonl` in the folder."""
        looked = self.looked or Looked()
        return {
            "model": self.model,
            "folder": str(self.folder),
            "report": str(self.report),
            "images": looked.images,
            "earlier": looked.earlier,
            "unreadable": dict(looked.unread),
            "shown": looked.shown,
            "seconds": round(self.seconds, 2),
        }

    def lines(self) -> list[str]:
        """A line for each of the first images, and where everything is."""
        looked = self.looked or Looked()
        lines = [image_line(each) for each in looked.shown[:_SHOWN]]
        if looked.images > len(lines) > 0:
            lines.append(f"… and {looked.images - len(lines):,} more: images.jsonl")
        return [
            *lines,
            *([""] if lines else []),
            f"pictures {self.folder}",
            f"page     {self.report}",
            f"time     {self.seconds:.1f} s",
        ]


def look(
    model: str | Path,
    images: Any = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    command: str | None = None,
    emit: Emit | None = None,
    **settings: Any,
) -> LookResult:
    """See what a model attends to on images, and what it has learned of patches and places; what `vitrail look` does.

    A picture of every image goes into the folder as soon as it is finished; an interrupted call is gone on with by the
    same call.

    >>> vitrail.look("runs/ants", "photos/ant.jpg", layer=-1, head=0)  # doctest: +SKIP

    Args:
        model: a package, a run folder, or as for `fit`.
        images: as for `predict`; None: only what can be seen without.
        out: the folder; None: a new one in `runs`.
        device: where the model is run.
        workers: processes that read images.
        command: what the page says was typed.
        emit: receives progress; None: bars on a terminal; `vitrail.nobody`: silence.
        settings: any of `LookSettings`' names, e.g. `layer=3`, `head=None` (mean of all), `of_class="bees"`.

    Returns:
        Where everything is, and the first images' figures; `print` shows it.

    Raises:
        NoTokenAttention: the model has no attention between all tokens; the message says what it has instead.
        InputError: no such model, image, layer, head or class; or something else stands in `out`.
        SystemFault: disk, permission or network.
    """
    watch, chosen = Stopwatch(), LookSettings.parse(**settings)
    given = None if images is None else given_pictures(images)
    with sink_or_bars(emit) as emit:
        looked_into = looked_model(model, device=device)
        looker = None if given is None else _looker(looked_into, chosen)
        sections, files = inside_sections(looked_into.seeing.model, required=given is None)
        folder = LookFolder.open(Path(out) if out else None, _asked(looked_into, given, chosen), name=looked_into.name)
        for name, content in files.items():
            folder.write_picture(name, content)
        looked = None
        if given is not None and looker is not None:
            shown = looked_into.seeing.preprocessing
            looked = look_through(looker, given, shown, folder, chosen, workers=workers, emit=emit)
            sections = [*look_sections(looked, looker), *sections]
            for path, why in looked.unread.items():
                emit(Noted(f"warning  {path}: not looked at: {why}", level="warning"))
    page = Report(
        title=f"A look into {looked_into.name}",
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command or call_text(look, model, *([] if images is None else [images]), **settings),
        sections=sections,
        seed=chosen.seed,
        versions=versions(),
        beside=["A picture of every image is in the folder “pictures”, its figures are in images.jsonl."]
        if looked
        else [],
        window_of=looked_into.digest,
    )
    return LookResult(looked_into.name, folder.path, write_report(page, folder.path), looked, watch.total)


def _looker(model: LookedModel, settings: LookSettings) -> Looker:
    return Looker(
        model.seeing, model.classes, layer=settings.layer, head=settings.head, of_class=settings.of_class
    )  # fmt: skip


def _asked(model: LookedModel, given: GivenPictures | None, settings: LookSettings) -> dict[str, Any]:
    """All that a picture depends on, and which images were given as far as that is known."""
    named = given.named if given is not None and isinstance(given.named, list) else []
    return {
        "format": 1,
        "model": model.name,
        "weights": model.digest,
        "preprocessing": digest_of(model.seeing.preprocessing.model_dump(mode="json")),
        "settings": settings.model_dump(mode="json"),
        "images": digest_of([name for name, _ in named]),
    }
