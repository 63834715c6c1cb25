"""`vitrail admit`: may a version be rolled out?"""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from vitrail.cli.options import AsJson, Columns, Quiet, Settings, Workers, parsed, with_columns
from vitrail.cli.output import tell
from vitrail.cli.versions import NamedVersion, Person, Store
from vitrail.pages.progress import ProgressBars


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="Keep it good")(admit)


def admit(
    version: NamedVersion,
    data: Annotated[str, typer.Option(help="Labelled images, as for `vitrail check`.")],
    against: Annotated[
        str, typer.Option(help="What it may replace: an alias or number of the same name, or `none`.")
    ] = "stable",
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A YAML file with bounds, e.g. the line `margin: 0.05`.")
    ] = None,
    columns: Columns = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/NAME-N-admission.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that stands there.")] = False,
    by: Person = None,
    store: Store = None,
    workers: Workers = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Judge whether a version may be rolled out: quality, speed and the regression suite; every test gates.

    Ends with exit code 1 where it is rejected. Interrupted, it continues from where it was when called again.
    """
    import vitrail

    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.admit(
            version, with_columns(data, columns), against=against, policy=policy, out=out, overwrite=overwrite,
            workers=workers, by=by, store=store, command=shlex.join(["vitrail", *sys.argv[1:]]), emit=progress,
            **parsed(settings or []),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
    raise typer.Exit(0 if result.is_admitted else 1)
