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
    package: Annotated[str, typer.Argument(help="A package, or the run that made it.")],
    data: Annotated[str, typer.Argument(help="Labelled images: folder of class folders, CSV or Parquet file.")],
    evaluations: Annotated[
        str | None, typer.Option("--with", metavar="NAMES", help="Evaluations, e.g. `quality`; default: all.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="`train`, `val`, `test` or `all`; default: test images, else validation images, else all."),
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

    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.evaluate(
            package, with_columns(data, columns), evaluations=evaluations, split=split, out=out, overwrite=overwrite,
            seed=seed, device=device, runtime=runtime, workers=workers, command=shlex.join(["vitrail", *sys.argv[1:]]),
            emit=progress, **({} if attributes is None else {"attributes": attributes}), **parsed(settings or []),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
