"""`vitrail predict`: a package and images to answers."""

import csv
import functools
import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from vitrail.basics.errors import InputError
from vitrail.basics.events import Event, Noted
from vitrail.basics.natural_order import in_natural_order
from vitrail.basics.printable import printable, spreadsheet_cell
from vitrail.cli.options import RUNTIMES
from vitrail.cli.output import reader_may_leave, tell

if TYPE_CHECKING:
    from vitrail.prediction.answers import Prediction


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(predict)


def predict(
    package: Annotated[str, typer.Argument(help="A package folder, or a run folder, e.g. runs/ants.")],
    images: Annotated[list[str], typer.Argument(help="Image files, folders or patterns.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line; `id` is the hash of the content.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV with a column per class; `'` before what a spreadsheet would compute.")
    ] = False,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, `mps`.")] = "auto",
    runtime: Annotated[
        str,
        typer.Option(
            help=f"`auto` (by machine) or a library (`torch`, `openvino`, `onnx`), in float32; or a full name: "
            f"{RUNTIMES}."
        ),
    ] = "torch float32",
    workers: Annotated[int | None, typer.Option(help="Processes that decode images.")] = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Answer from 9 views of each image (5 crops, 4 scales): 9 times the work.")
    ] = False,
    flips: Annotated[
        bool, typer.Option("--flips", help="With --tta: mirrored views, too; not where left and right matter.")
    ] = False,
) -> None:
    """Classify images with a package.

    Answers go to stdout as they are ready; unreadable images are named on stderr and make the exit code 1. Images that
    are unlike those that the package knows are marked, and counted on stderr.
    """
    from vitrail.prediction.answers import Prediction
    from vitrail.prediction.several_views import ViewSettings
    from vitrail.workflows.predict import predict as run_predict

    if flips and not tta:
        raise InputError("--flips was given without --tta", hint="add --tta")
    views = ViewSettings(tta_flips=flips) if tta else None
    unreadable = []

    def answers() -> "Iterable[Prediction]":
        for answer in run_predict(
            package, images, device=device, runtime=runtime, workers=workers, tta=views, emit=_tell
        ):  # fmt: skip
            if isinstance(answer, Prediction):
                yield answer
            else:
                unreadable.append(answer)

    named = functools.partial(_write_json, beside={"tta": views.words} if views else {})
    write = named if as_json else _write_csv if as_csv else _write_table
    with reader_may_leave():
        write(answers())
    for each in unreadable:
        tell(f"error: {printable(each.reason)}", colour=typer.colors.RED, err=True)
    raise typer.Exit(1 if unreadable else 0)


def _tell(event: Event) -> None:
    if isinstance(event, Noted):
        tell(event.text, err=True)


def _write_json(answers: "Iterable[Prediction]", *, beside: Mapping[str, str]) -> None:
    for answer in answers:
        values = {**answer.as_json(), **beside}
        line = json.dumps(values, ensure_ascii=False)
        # A name that this output cannot show is escaped, and reads back as the name of the very file (os.fsencode).
        print(line if _can_be_shown(line) else json.dumps(values), flush=True)


def _write_csv(answers: "Iterable[Prediction]") -> None:
    writer = csv.writer(sys.stdout)
    for number, answer in enumerate(answers):
        columns = in_natural_order(answer.probabilities)
        if number == 0:
            beside = [] if answer.likeness is None else ["likeness", "unlike"]
            writer.writerow(["path", "label", "probability", *map(_cell, columns), *beside])
        values = answer.as_json()
        probabilities = [values["probabilities"][name] for name in columns]
        likeness = [str(values[name]).lower() for name in beside]
        writer.writerow([_cell(answer.path), _cell(answer.label), values["probability"], *probabilities, *likeness])


def _cell(text: str) -> str:
    cell = spreadsheet_cell(text)
    return _shown(printable(cell) if sys.stdout.isatty() else cell)  # a file holds the name, a terminal would obey it


def _write_table(answers: "Iterable[Prediction]") -> None:
    for answer in answers:
        print(_shown(repr(answer)), flush=True)


def _can_be_shown(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    """The text with what stdout cannot write marked: `\\xe9` for a byte that is no UTF-8, `\\u2013` for a dash."""
    if _can_be_shown(text):
        return text
    encoding = sys.stdout.encoding or "utf-8"
    bytes_marked = "".join(f"\\x{ord(each) - 0xDC00:02x}" if "\udc80" <= each <= "\udcff" else each for each in text)
    return bytes_marked.encode(encoding, "backslashreplace").decode(encoding)
