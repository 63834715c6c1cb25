"""`vitrail evaluate`: how far a package's answers can be believed."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from vitrail.cli.options import AsJson, Columns, Quiet, Settings, Workers, parsed, with_columns
from vitrail.cli.output import tell
from vitrail.pages.progress import ProgressBars


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="Make it good")(evaluate)


def evaluate(
    package: Annotated[str, typer.Argument(help="A package, or the run that made it; or a table of answers.")],
    data: Annotated[
        str | None,
        typer.Argument(
            help="Labelled images: folder of class folders, CSV or Parquet file. Beside answers: attributes."
        ),
    ] = None,
    evaluations: Annotated[
        str | None, typer.Option("--with", metavar="NAMES", help="Evaluations, e.g. `quality,fairness`; default: all.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="`train`, `val`, `test` or `all`; default: test images, else validation images, else those that it "
            "was not trained on, else all."
        ),
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Columns whose groups are compared, e.g. `sex,age`; default: those that make groups."
        ),
    ] = None,
    columns: Columns = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/NAME-OF-THE-DATA-evaluated.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that stands there.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn by lot.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, `mps`.")] = "auto",
    runtime: Annotated[str, typer.Option(help="As for `vitrail predict`.")] = "torch float32",
    workers: Workers = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Judge a package on labelled images: a report of what it is worth, and of what was not judged.

    Interrupted, it continues from where it was when called again.
    """
    import vitrail

    given = {"evaluations": evaluations, "attributes": attributes, "split": split}
    values = {
        **{name: value for name, value in given.items() if value is not None},
        "seed": seed, "device": device, "runtime": runtime, **parsed(settings or []),
    }  # fmt: skip
    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.evaluate(
            package, None if data is None else with_columns(data, columns), out=out, overwrite=overwrite,
            workers=workers, command=shlex.join(["vitrail", *sys.argv[1:]]), emit=progress, **values,
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
