"""`vitrail demo`: see the whole path once, on data that is built in."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from vitrail.cli.fit import show_result
from vitrail.cli.progress import TerminalProgress


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/demo"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """The whole path on 1,797 built-in handwritten digits: check, train, judge, package, predict. Under two minutes."""
    from vitrail.workflows.fit_start import start_fit

    with TerminalProgress(quiet=quiet) as progress:
        started = start_fit("digits", out=out, overwrite=overwrite, workers=None)
        from vitrail.workflows.demo import finish_demo

        result = finish_demo(started, emit=progress)
    typer.echo("\npredictions of the package on images it never saw:")
    for truth, prediction in zip(result.truths, result.predictions, strict=True):
        typer.echo(f"  a {truth}: the model says {prediction.label} ({prediction.probability:.1%})")
    typer.echo("")
    show_result(result.fit)
    typer.echo(
        "\nThis model started from nothing, because no pretrained weights come with Vitrail. On photographs, features\n"
        "pretrained on millions of images make the difference. With weights at hand, on your own folder of classes:\n"
        f"         vitrail fit {shlex.quote('PHOTOS')} --model vit_small_patch16_224   (timm name: needs a network)\n"
        "         vitrail fit PHOTOS --model local-dir:WEIGHTS_FOLDER       (no network needed)"
    )
