"""`vitrail study`: claims of the literature, measured on your images."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitrail.cli.options import AsJson, Columns, Quiet, Settings, Workers, parsed, with_columns
from vitrail.pages.progress import ProgressBars

if TYPE_CHECKING:
    from vitrail.workflows.study.staged import StagedStudy
    from vitrail.workflows.study.starter import StarterStudy

study = typer.Typer(help="Measure claims of the literature on your own images.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(study, name="study", rich_help_panel="Make it good")


@study.callback()
def _root() -> None:
    """Measure claims of the literature on your own images."""


@study.command()
def staged(
    data: Annotated[list[str], typer.Argument(help="One or more data sets, as for `vitrail fit`.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="As for `vitrail fit`.")] = None,
    columns: Columns = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs per data set.")] = 5,
    out: Annotated[Path, typer.Option(help="Folder of the study; the same call continues in it.")] = Path("runs/study"),
    stages: Annotated[str, typer.Option(help="The stages of the staged arm.")] = "head,top,all",
    on_bad_image: Annotated[str, typer.Option(help="`stop` at unreadable images, or `skip` them.")] = "stop",
    workers: Workers = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Is training in stages better than training everything at once? The literature says by 10 to 15 %."""
    from vitrail.workflows.fit.model import chosen_fit
    from vitrail.workflows.study.staged import study_staged

    values = {"stages": stages, "on_bad_image": on_bad_image, **parsed(settings or [])}
    chosen = chosen_fit(model, values, run=out)
    command = shlex.join(["vitrail", *sys.argv[1:]])
    with ProgressBars(quiet=quiet) as progress:
        result = study_staged(
            _sources(data, columns), chosen.settings, seeds=seeds, out=out, workers=workers, command=command,
            emit=progress,
        )  # fmt: skip
    _tell(result, as_json=as_json)


@study.command()
def starter(
    data: Annotated[list[str], typer.Argument(help="One or more data sets, as for `vitrail fit`.")],
    model: Annotated[str, typer.Option("--model", "-m", help="The weights that are studied: a plain ViT.")] = "starter",
    reference: Annotated[str | None, typer.Option(help="Other weights beside them, named as for `--model`.")] = None,
    columns: Columns = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs per data set and way to begin.")] = 5,
    image_size: Annotated[int, typer.Option(min=8, help="Side of the images in pixels.")] = 64,
    epochs: Annotated[int, typer.Option(min=1, help="Walks through the training images.")] = 20,
    rates: Annotated[
        str, typer.Option(help="Learning rates; each way to begin takes the one that suits it best.")
    ] = "5e-4,1e-3",
    train: Annotated[int | None, typer.Option(help="Training images that are used; default: all.")] = None,
    labels_per_class: Annotated[int | None, typer.Option(help="Training images of every class; default: all.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the study; the same call continues in it.")] = Path(
        "runs/study-starter"
    ),
    on_bad_image: Annotated[str, typer.Option(help="`stop` at unreadable images, or `skip` them.")] = "stop",
    workers: Workers = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """What are the starter weights worth on your images, against the same network from nothing?"""
    from vitrail.workflows.study.starter import study_starter
    from vitrail.workflows.study.starter_settings import StarterStudySettings

    chosen = StarterStudySettings.parse(
        model=model, reference=reference, seeds=seeds, image_size=image_size, epochs=epochs, rates=rates, train=train,
        labels_per_class=labels_per_class, on_bad_image=on_bad_image, **parsed(settings or []),
    )  # fmt: skip
    command = shlex.join(["vitrail", *sys.argv[1:]])
    with ProgressBars(quiet=quiet) as progress:
        result = study_starter(
            _sources(data, columns), chosen, out=out, workers=workers, command=command, emit=progress
        )
    _tell(result, as_json=as_json)


def _sources(data: list[str], columns: str | None) -> list[Any]:
    """The data sets, the tables among them with the names of their columns."""
    return [with_columns(each, columns) if Path(each).is_file() else each for each in data]


def _tell(result: "StagedStudy | StarterStudy", *, as_json: bool) -> None:
    typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False) if as_json else repr(result))
