"""`vitrail serve`: several models behind one address."""

from pathlib import Path
from typing import Annotated

import typer

from vitrail.cli.options import Quiet, Settings, parsed
from vitrail.cli.output import tell


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="Make it ready")(serve)


def serve(
    packages: Annotated[
        list[str] | None,
        typer.Argument(metavar="PACKAGE[=WEIGHT]…", help="Packages, runs that made them, or versions."),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="A `serve.yaml` instead of packages.")] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; beyond this machine a key is needed.", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="0: one that is free.", show_default="8000")] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL", show_default="runs/serve.sqlite",
            help="Where routes and figures are kept: a file, `postgresql://…`, or `none`.",
        ),
    ] = None,
    predict_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keys for predicting, one a line; or `VITRAIL_PREDICT_KEY`.")
    ] = None,
    admin_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keys for console, figures and routes; or `VITRAIL_ADMIN_KEY`."),
    ] = None,
    allow_without_key: Annotated[
        bool, typer.Option("--allow-without-key", help="Let everybody in who reaches the address.")
    ] = False,
    keep_images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep users' images that were answered, to learn from; see docs/serving.md."),
    ] = None,
    settings: Settings = None,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Answer requests with one model or several: weighted A/B, fallback, live figures, health, a console.

    Each model lives in a process of its own, and the same user always gets the same one. Ctrl-C or SIGTERM ends it when
    what it has taken is answered.
    """
    import vitrail

    options = {
        "host": host, "port": port, "state": state, "predict_key_file": predict_key_file,
        "admin_key_file": admin_key_file, "allow_without_key": allow_without_key or None,
        "keep_images": keep_images,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    vitrail.serve(
        packages or [], config=config, tell=_silence if quiet else _tell, **{**parsed(settings or []), **given}
    )


def _tell(line: str) -> None:
    tell(line, err=True)


def _silence(line: str) -> None:
    """Somebody wants to read nothing."""
