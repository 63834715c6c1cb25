"""`vitrail compare`: may one model replace another?"""

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
    app.command(rich_help_panel="Make it good")(compare)


def compare(
    a: Annotated[str, typer.Argument(help="The model that is there: a package, a run, or a table of answers.")],
    b: Annotated[str, typer.Argument(help="The one that may take its place.")],
    data: Annotated[
        str | None,
        typer.Argument(help="Labelled images, as for `vitrail check`. Beside two tables of answers: attributes."),
    ] = None,
    margin: Annotated[float, typer.Option(help="How much accuracy B may lose and still replace A.")] = 0.02,
    attributes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Columns whose groups are looked at, e.g. `sex,age`; default: those that make groups."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="`train`, `val`, `test` or `all`; default: as `evaluate`.")] = None,
    columns: Columns = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/NAME-compared.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that stands there.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn by lot.")] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, `mps`.")] = "auto",
    workers: Workers = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare two models on the same images: which is better, who loses, whether B may replace A.

    Interrupted, it continues from where it was when called again.
    """
    import vitrail

    values = {"margin": margin, "split": split, "seed": seed, "device": device, "attributes": attributes}
    images = None if data is None else with_columns(data, columns)
    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.compare(
            a, b, images, out=out, overwrite=overwrite, workers=workers,
            command=shlex.join(["vitrail", *sys.argv[1:]]), emit=progress, **{**values, **parsed(settings or [])},
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
