"""`vitrail demo`: see the whole path once, on data that is built in."""

from pathlib import Path
from typing import Annotated

import typer

from vitrail.cli.options import Quiet
from vitrail.cli.output import tell
from vitrail.pages.progress import ProgressBars


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/demo"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo.")] = False,
    quiet: Quiet = False,
) -> None:
    """The whole path on built-in handwritten digits: check, train, judge, package, predict. Under two minutes."""
    from vitrail.data.few_digits import few_digits
    from vitrail.workflows.fit.start import start_fit

    with ProgressBars(quiet=quiet) as progress:
        started = start_fit(few_digits(), out=out, overwrite=overwrite, workers=None)
        from vitrail.workflows.demo import finish_demo

        result = finish_demo(started, emit=progress)
    tell(f"\n{result}")
