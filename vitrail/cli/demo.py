"""`vitrail demo`: see the whole path once, on data that is built in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitrail.cli.output import tell
from vitrail.pages.progress import ProgressBars

if TYPE_CHECKING:
    from vitrail.measures.intervals import Measure


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/demo"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """The whole path on built-in handwritten digits: check, train, judge, package, predict. Under two minutes."""
    from vitrail.workflows.fit.start import start_fit

    with ProgressBars(quiet=quiet) as progress:
        started = start_fit("digits", out=out, overwrite=overwrite, workers=None)
        from vitrail.workflows.demo import finish_demo

        result = finish_demo(started, emit=progress)
    tell("\npredictions of the package on images it never saw:")
    for truth, prediction in zip(result.truths, result.predictions, strict=True):
        tell(f"  a {truth}: the model says {prediction.label} ({prediction.probability:.1%})")
    tell("")
    tell(repr(result.fit))
    for line in _gain_lines(result.from_nothing, result.gain):
        tell(line)


def _gain_lines(from_nothing: "Measure", gain: "Measure") -> list[str]:
    """What the starter weights gained, and what to do next."""
    span = "" if gain.low is None or gain.high is None else f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    return [
        f"\nfrom nothing, with as many steps, the same network reaches {from_nothing.text()}:",
        f"the starter weights, for which no photograph was used, gained {100 * (gain.value or 0):+.1f} points{span}.",
        "\non your own folder of classes:",
        "         vitrail fit PHOTOS                     (weights that know photographs, where there is a network)",
        "         vitrail fit PHOTOS --model starter     (no network needed)",
    ]
