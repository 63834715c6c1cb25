"""`vitrail pretrain`: weights to start from, made on this machine."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vitrail.cli.options import AsJson, Quiet, Settings, parsed
from vitrail.cli.output import tell
from vitrail.pages.progress import ProgressBars

pretrain = typer.Typer(help="Make weights to start from.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(pretrain, name="pretrain", rich_help_panel="Make it good")


@pretrain.callback()
def _root() -> None:
    """Make weights to start from."""


@pretrain.command()
def formula(
    out: Annotated[Path, typer.Option(help="Run folder; the same call continues in it.")] = Path("runs/formula"),
    recipe: Annotated[
        Path | None, typer.Option(help="Settings of another run: its settings.json, or its weights' pretraining.json.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the run, rounded up to whole epochs.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Where formula images are kept, for all runs; default: Vitrail's cache.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of weights, order and views; default: the recipe's, or 0.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that stands there.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes that render; default: one per core.")] = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Pretrain a small ViT on images that are computed from formulas: no photographs, no licence, no network.

    Interrupted, it continues from where it was when called again.
    """
    import vitrail

    named: dict[str, Any] = {"seed": seed, "steps": steps}
    values = {**{name: value for name, value in named.items() if value is not None}, **parsed(settings or [])}
    command = shlex.join(["vitrail", *sys.argv[1:]])
    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.pretrain_formula(
            out=out, recipe=recipe, images=images, overwrite=overwrite, workers=workers, command=command,
            emit=progress, **values,
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
