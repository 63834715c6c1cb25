"""`vitrail predict`: a package and images to answers."""

import csv
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from vitrail.basics.events import Event, Noted
from vitrail.basics.printable import printable, spreadsheet_cell
from vitrail.cli.options import RUNTIMES
from vitrail.cli.output import reader_may_leave, tell

if TYPE_CHECKING:
    from vitrail.prediction.predictor import Prediction


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(predict)


def predict(
    package: Annotated[str, typer.Argument(help="A package folder, e.g. runs/ants/package.")],
    images: Annotated[list[str], typer.Argument(help="Image files, folders or patterns.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
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
) -> None:
    """Classify images with a package.

    Answers go to stdout as they are ready; unreadable images are named on stderr and make the exit code 1.
    """
    from vitrail.prediction.predictor import Prediction
    from vitrail.workflows.predict import predict as run_predict

    unreadable = []

    def answers() -> "Iterable[Prediction]":
        for answer in run_predict(
            package, images, device=device, runtime=runtime, workers=workers, emit=_tell
        ):  # fmt: skip
            if isinstance(answer, Prediction):
                yield answer
            else:
                unreadable.append(answer)

    write = _write_json if as_json else _write_csv if as_csv else _write_table
    with reader_may_leave():
        write(answers())
    for each in unreadable:
        tell(f"error: {printable(each.reason)}", colour=typer.colors.RED, err=True)
    raise typer.Exit(1 if unreadable else 0)


def _tell(event: Event) -> None:
    if isinstance(event, Noted):
        tell(event.text, err=True)


def _write_json(answers: "Iterable[Prediction]") -> None:
    for answer in answers:
        print(json.dumps(answer.as_json(), ensure_ascii=False), flush=True)


def _write_csv(answers: "Iterable[Prediction]") -> None:
    writer = csv.writer(sys.stdout)
    for number, answer in enumerate(answers):
        if number == 0:
            writer.writerow(["path", "label", "probability", *map(spreadsheet_cell, answer.probabilities)])
        values, named = answer.as_json(), map(spreadsheet_cell, (answer.path, answer.label))
        writer.writerow([*named, values["probability"], *values["probabilities"].values()])


def _write_table(answers: "Iterable[Prediction]") -> None:
    for answer in answers:
        others = sorted(answer.probabilities.items(), key=lambda item: -item[1])[1:3]
        rest = "  ".join(f"{printable(name)} {probability:.1%}" for name, probability in others)
        label, path = printable(answer.label), printable(answer.path)
        print(f"{label:<24} {answer.probability:>6.1%}   {path}   [{rest}]", flush=True)
