"""`vitrail look`: what a model attends to, as pictures."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vitrail.basics.errors import InputError
from vitrail.cli.options import AsJson, Quiet, Settings, Workers, parsed
from vitrail.cli.output import tell
from vitrail.pages.progress import ProgressBars


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(look)


def look(
    model: Annotated[
        str, typer.Argument(help="A package or run folder, or what `fit --model` takes: timm name, folder or file.")
    ],
    images: Annotated[
        list[str] | None, typer.Argument(help="Image files, folders or patterns.", show_default=False)
    ] = None,
    layer: Annotated[int, typer.Option(help="Whose attention: 0 is the first layer, -1 the last.")] = -1,
    head: Annotated[str, typer.Option(help="Which of its heads, from 0 on, or `all`: their mean.")] = "0",
    of_class: Annotated[
        str | None, typer.Option(help="Class that relevance is for; default: what the model answers.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the pictures; default: a new one, runs/look-NAME.")
    ] = None,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, `mps`.")] = "auto",
    workers: Workers = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """See what a model looks at: attention, rollout and relevance on images, and whether they say more than chance.

    Without images: its patch filters and positions. Pictures go into a folder beside a page; interrupted, it continues
    from where it was when called again.
    """
    import vitrail

    values = {"layer": layer, "head": _head(head), "of_class": of_class, **parsed(settings or [])}
    command = shlex.join(["vitrail", *sys.argv[1:]])
    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.look(
            model, images or None, out=out, device=device, workers=workers, command=command, emit=progress, **values
        )
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
    raise typer.Exit(1 if result.looked is not None and result.looked.unread else 0)


def _head(text: str) -> Any:
    if text == "all":
        return None
    try:
        return int(text)
    except ValueError:
        raise InputError(f"--head {text}: a number from 0 on, or all, was expected", hint="--head 0") from None
