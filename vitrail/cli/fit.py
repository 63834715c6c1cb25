"""`vitrail fit`: from a folder of images to a packaged classifier."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitrail.basics.errors import InputError
from vitrail.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from vitrail.evaluation.quality import Quality
    from vitrail.workflows.fit import FitResult


_OWN_OPTIONS = {"data", "model", "out", "overwrite", "workers", "command", "emit"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(fit)


def fit(
    data: Annotated[str, typer.Argument(help="Folder of class folders, CSV or Parquet file, or `digits`.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="timm name, `hf-hub:org/name`, `local-dir:FOLDER`, or a .safetensors or .npz file."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/NAME-OF-THE-DATA.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that stands there.")] = False,
    on_bad_image: Annotated[str, typer.Option(help="`stop` at unreadable images, or `skip` them.")] = "stop",
    image_size: Annotated[int | None, typer.Option(help="Input size in pixels; default: the weights' own.")] = None,
    architecture: Annotated[str | None, typer.Option(help="timm name of the network, for a bare weights file.")] = None,
    position: Annotated[str, typer.Option(help="`weights` (theirs), `none`, `1d`, `2d` or `relative`.")] = "weights",
    pooling: Annotated[str, typer.Option(help="`weights` (theirs), `token`, `avg` or `map`.")] = "weights",
    pad: Annotated[bool, typer.Option("--pad", help="Accept sizes that the patch does not divide.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes that read images; default: one per core.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split and of all that is drawn by lot.")] = 0,
    thumbnails: Annotated[bool, typer.Option(help="Small pictures in the report.")] = True,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting, as name=value; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only warnings.")] = False,
) -> None:
    """Train a classifier on your images: check, features, probe, package, report.

    Interrupted, it continues from where it was when called again.
    """
    import vitrail

    values = {
        "on_bad_image": on_bad_image, "image_size": image_size, "architecture": architecture, "position": position,
        "pooling": pooling, "pad": pad, "seed": seed, "thumbnails": thumbnails,
        **parsed(settings or []),
    }  # fmt: skip
    command = shlex.join(["vitrail", *sys.argv[1:]])
    with TerminalProgress(quiet=quiet) as progress:
        result = vitrail.fit(
            data, model=model, out=out, overwrite=overwrite, workers=workers, command=command, emit=progress, **values
        )
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        show_result(result)


def parsed(assignments: list[str]) -> dict[str, Any]:
    """`["epochs=3", "device=cpu"]` to `{"epochs": 3, "device": "cpu"}`: values are JSON where they can be, else text.

    Raises:
        InputError: an assignment has no equals sign, or names what has an option of its own.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if name in _OWN_OPTIONS:
            raise InputError(f"--set {assignment}: {name} has an option of its own", hint=f"write --{name} {text}")
        if not equals:
            raise InputError(f"--set {assignment}: not of the form name=value", hint="for example --set batch_size=32")
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return values


def _verdict(quality: "Quality") -> str:
    decision = quality.verdict.decision
    return decision if decision == "not enough evidence" else f"{decision} than that, p = {quality.verdict.p_value:.2g}"


def show_result(result: "FitResult") -> None:
    """The figures of a finished run and where everything is."""
    for split, quality in result.quality.items():
        typer.echo(f"{split:<9}{quality.accuracy.text()}   nearest neighbours {result.neighbours[split].text()}")
        typer.echo(f"         always the most frequent class {quality.majority.text()}: {_verdict(quality)}")
    typer.echo(f"\npackage  {result.package}\nreport   {result.report}\ntime     {result.seconds:.1f} s")
    typer.echo(f"next     vitrail predict {shlex.quote(str(result.package))} IMAGES…")
