"""`vitrail features`: vectors from inside a model, for every image of a data set."""

import json
from pathlib import Path
from typing import Annotated

import typer

from vitrail.basics.printable import printable
from vitrail.cli.options import RUNTIMES, AsJson, Columns, Quiet, Settings, Workers, parsed, with_columns
from vitrail.cli.output import tell
from vitrail.pages.progress import ProgressBars


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(features)


def features(
    model: Annotated[
        str, typer.Argument(help="A package, a timm name, `hf-hub:org/name`, `local-dir:FOLDER` or a weights file.")
    ],
    data: Annotated[str, typer.Argument(help="Folder of images, CSV or Parquet file, or `digits`; labels optional.")],
    nodes: Annotated[
        str,
        typer.Option(
            help="What to read, as `node` or `node=reduction`, e.g. `blocks.3=cls,blocks.11=mean,norm`. Reductions: "
            "`cls` (class token), `mean` (over patches), `tokens`, `map`. `pooled` feeds the classifier."
        ),
    ] = "pooled",
    out: Annotated[Path | None, typer.Option(help="The store; default: features/NAME-OF-THE-DATA.")] = None,
    columns: Columns = None,
    runtime: Annotated[
        str,
        typer.Option(
            help=f"`auto` (by machine and images), a library (`torch`, `openvino`, `onnx`), or a full name: {RUNTIMES}."
        ),
    ] = "auto",
    dtype: Annotated[str, typer.Option(help="How numbers are kept: `float32` or `float16`.")] = "float32",
    on_bad_image: Annotated[
        str, typer.Option(help="`stop`: end with exit code 1 when images could not be read, or `skip` them.")
    ] = "stop",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that stands there.")] = False,
    image_size: Annotated[int | None, typer.Option(help="Input size in pixels; default: the weights' own.")] = None,
    architecture: Annotated[str | None, typer.Option(help="timm name of the network, for a bare weights file.")] = None,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, `mps`.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(help="Images per forward pass; default: by device.")] = None,
    workers: Workers = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write vectors from inside a model for every image: Parquet shards that survive interruption.

    Called again, it continues, adds images that are new or have changed, takes over labels and splits, and tries
    those again that could not be read.
    """
    from vitrail.workflows.features.settings import FeaturesSettings
    from vitrail.workflows.features.write import write_store

    values = {
        "nodes": nodes, "runtime": runtime, "dtype": dtype, "on_bad_image": on_bad_image, "batch_size": batch_size,
        "image_size": image_size, "architecture": architecture, "device": device,
        **parsed(settings or []),
    }  # fmt: skip
    chosen = FeaturesSettings.gather(name=model, **values)
    folder = out or Path("features") / (Path(data).resolve().stem or "images")
    with ProgressBars(quiet=quiet) as progress:
        result = write_store(
            with_columns(data, columns), chosen, out=folder, overwrite=overwrite, workers=workers, emit=progress
        )
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
    if chosen.on_bad_image == "stop":
        result.refuse_failures()
    for reason in result.first_failures():
        tell(f"left out {printable(reason)}", err=True)
