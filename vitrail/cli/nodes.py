"""`vitrail nodes`: what can be taken out of a model, as a tree."""

import json
from typing import Annotated

import typer

from vitrail.cli.output import reader_may_leave

_DEPTH = 2


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(nodes)


def nodes(
    model: Annotated[str, typer.Argument(help="timm name, `hf-hub:org/name`, `local-dir:FOLDER`, folder or file.")],
    patterns: Annotated[
        list[str] | None,
        typer.Argument(help="Only modules of these names; `blocks.*.attn`, `**` crosses dots.", show_default=False),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Parts a name may have; default 2, with patterns any.")
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="timm name, for a bare weights file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what can be taken out of a model: modules with output shape, parameters, share of the work, and calls.

    Weights are not loaded. The names go into `vitrail.create_feature_extractor(model, [NAME, ...])`.
    """
    from vitrail.workflows.nodes import nodes as run

    shown = depth if depth or patterns or as_json else _DEPTH
    result = run(model, *(patterns or ()), depth=shown, architecture=architecture)
    with reader_may_leave():
        typer.echo(json.dumps(result.as_json(), indent=2) if as_json else repr(result))
