"""`vitrail fit`: from a folder of images to a packaged classifier."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vitrail.cli.options import AsJson, Columns, Quiet, Settings, Workers, parsed, with_columns
from vitrail.cli.output import tell
from vitrail.pages.progress import ProgressBars


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(fit)


def fit(
    data: Annotated[str, typer.Argument(help="Folder of class folders, CSV or Parquet file, or `digits`.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="`starter` (comes with Vitrail), timm name, `hf-hub:org/name`, `local-dir:FOLDER`, or a .safetensors "
            "or .npz file; default: a ViT-Small that knows photographs, or `starter` where there is no network.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/NAME-OF-THE-DATA.")] = None,
    columns: Columns = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that stands there.")] = False,
    on_bad_image: Annotated[str, typer.Option(help="`stop` at unreadable images, or `skip` them.")] = "stop",
    image_size: Annotated[int | None, typer.Option(help="Input size in pixels; default: the weights' own.")] = None,
    architecture: Annotated[str | None, typer.Option(help="timm name of the network, for a bare weights file.")] = None,
    position: Annotated[str, typer.Option(help="`weights` (theirs), `none`, `1d`, `2d` or `relative`.")] = "weights",
    pooling: Annotated[str, typer.Option(help="`weights` (theirs), `token`, `avg` or `map`.")] = "weights",
    pad: Annotated[bool, typer.Option("--pad", help="Accept sizes that the patch does not divide.")] = False,
    workers: Workers = None,
    seed: Annotated[int, typer.Option(help="Seed of the split and of all that is drawn by lot.")] = 0,
    splits_of: Annotated[
        str | None, typer.Option(help="Run folder: its images stay on their sides, only new ones are drawn.")
    ] = None,
    thumbnails: Annotated[bool, typer.Option(help="Small pictures in the report.")] = True,
    stages: Annotated[
        str | None,
        typer.Option(help="Stages to train, any of `head,top,all`, or `probe`; default: by preset."),
    ] = None,
    preset: Annotated[str, typer.Option(help="`quick` (the probe alone), `standard` or `thorough`.")] = "standard",
    time: Annotated[str | None, typer.Option(help="How long training may take, e.g. `20m`.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be trained, and train nothing.")] = False,
    compare: Annotated[
        str, typer.Option(help="`scratch`: also train the network from nothing, to see what pretraining gains.")
    ] = "none",
    log: Annotated[str, typer.Option(help="Send figures to `tensorboard`, `mlflow` or both, too.")] = "",
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a classifier on your images: check, features, probe, stages, package, report.

    Interrupted, it continues from where it was when called again.
    """
    import vitrail

    values = {
        "on_bad_image": on_bad_image, "image_size": image_size, "architecture": architecture, "position": position,
        "pooling": pooling, "pad": pad, "seed": seed, "splits_of": splits_of,
        "thumbnails": thumbnails, "stages": stages, "preset": preset,
        "time": time, "compare": compare, "log": log, **parsed(settings or []),
    }  # fmt: skip
    command = shlex.join(["vitrail", *sys.argv[1:]])
    table = with_columns(data, columns)
    if plan:
        show_plan(table, model, workers, values, as_json=as_json, quiet=quiet)
        return
    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.fit(
            table, model=model, out=out, overwrite=overwrite, workers=workers, command=command, emit=progress, **values
        )
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))


def show_plan(
    data: Any, model: str | None, workers: int | None, values: dict[str, Any], *, as_json: bool, quiet: bool
) -> None:
    """Print what `fit` would do: the stages, then the learning rates of every layer group, step by step."""
    import vitrail

    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.plan(data, model=model, workers=workers, emit=progress, **values)
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
        return
    for line in result.lines():
        tell(line, colour=typer.colors.YELLOW if line.startswith("warning") else None)
