"""`vitrail decide`: from which probability on is answered what?"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vitrail.basics.errors import InputError
from vitrail.cli.options import AsJson, Columns, with_columns
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
    by_group: Annotated[
        str | None, typer.Option(metavar="ATTRIBUTE", help="A threshold for each of its groups: they fare alike.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled images with that attribute, as for `vitrail check`.")
    ] = None,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Choose on validation answers how a package answers: a threshold, when it is not sure, sets of classes.

    The new package obeys in `predict` and `evaluate`; test answers judge the decision and have no say in it.
    """
    import vitrail

    if by_group is not None:
        given = (sensitivity, specificity, costs, prevalence, least_probability, coverage)
        result: Any = _by_group(run, out, by_group, data, columns, others=any(each is not None for each in given))
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False)) if as_json else tell(repr(result))
        return
    result = vitrail.decide(
        run, out=out, sensitivity=sensitivity, specificity=specificity, costs=costs, prevalence=prevalence,
        least_probability=least_probability, coverage=coverage,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))


def _by_group(run: str, out: Path, by_group: str, data: str | None, columns: str | None, *, others: bool) -> Any:
    import vitrail

    if data is None or others:
        raise InputError(
            "--by-group goes with --data, and with no other decision",
            hint=f"vitrail decide {run} --by-group {by_group} --data TABLE --out {out}",
        )
    return vitrail.decide_by_group(run, with_columns(data, columns), by_group=by_group, out=out)
