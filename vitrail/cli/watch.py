"""`vitrail watch`: are these images like those that a model knows?"""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from vitrail.basics.errors import InputError
from vitrail.cli.options import AsJson, Quiet, Settings, Workers, parsed
from vitrail.cli.output import tell
from vitrail.pages.progress import ProgressBars


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="Keep it good")(watch)


def watch(
    package: Annotated[str, typer.Argument(help="A package, or the run that made it.")],
    images: Annotated[list[str], typer.Argument(help="Image files, folders or patterns; no labels are needed.")],
    stream: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep a test over all images so far; it may be looked at after every call."),
    ] = None,
    write_reference: Annotated[
        Path | None,
        typer.Option(
            metavar="NEW", help="Watch nothing: write a package that knows what these labelled images are like."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/NAME-OF-THE-IMAGES-watched.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that stands there.")] = False,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, `mps`.")] = "auto",
    workers: Workers = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say whether images are like those that a package was trained and checked on: shifted, not shifted, or not enough.

    Ends with exit code 1 where they are shifted, or the stream has changed. Interrupted, it continues from where it was
    when called again.
    """
    import vitrail

    if write_reference is not None:
        if len(images) > 1:
            raise InputError("--write-reference takes one data set", hint="a folder of class folders, a CSV file, …")
        with ProgressBars(quiet=quiet) as progress:
            written = vitrail.with_reference(
                package, images[0], write_reference, device=device, workers=workers, emit=progress
            )
        tell(f"next     vitrail watch {shlex.quote(str(written))} IMAGES", err=True)
        return
    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.watch(
            package, images, out=out, overwrite=overwrite, stream=stream, device=device, workers=workers,
            command=shlex.join(["vitrail", *sys.argv[1:]]), emit=progress, **parsed(settings or []),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
    raise typer.Exit(1 if result.is_shifted else 0)
