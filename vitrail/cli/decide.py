"""`vitrail decide`: from which probability on is answered what?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from vitrail.cli.options import AsJson
from vitrail.cli.output import tell


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="Make it good")(decide)


def decide(
    run: Annotated[str, typer.Argument(help="The run folder of a fit, e.g. runs/ants.")],
    out: Annotated[Path, typer.Option(help="The new package; must not exist yet.")],
    sensitivity: Annotated[
        float | None, typer.Option(help="Share of the second class's images that must be found, e.g. `0.95`.")
    ] = None,
    specificity: Annotated[
        float | None, typer.Option(help="Share of the first class's images that must raise no false alarm.")
    ] = None,
    costs: Annotated[
        str | None, typer.Option(help="What a missed image of the second class costs, and a false alarm: `10,1`.")
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(help="Share of the second class where the model will be used; with or without costs."),
    ] = None,
    least_probability: Annotated[
        float | None, typer.Option(help="Below this probability the answer is `not sure`.")
    ] = None,
    coverage: Annotated[
        float | None, typer.Option(help="How often the set of classes said of an image must hold the true one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose on validation answers how a package answers: a threshold, when it is not sure, sets of classes.

    The new package obeys in `predict` and `evaluate`; test answers judge the decision and have no say in it.
    """
    import vitrail

    result = vitrail.decide(
        run, out=out, sensitivity=sensitivity, specificity=specificity, costs=costs, prevalence=prevalence,
        least_probability=least_probability, coverage=coverage,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
