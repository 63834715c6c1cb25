"""`vitrail mlflow push` and `pull`: versions to MLflow's registry and back."""

import json
from typing import Annotated, Any

import typer

from vitrail.cli.options import AsJson
from vitrail.cli.output import tell
from vitrail.cli.versions import NamedVersion, Person, Store

family = typer.Typer(no_args_is_help=True, help="Versions to MLflow's registry and back (extra `mlflow`).")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(family, name="mlflow", rich_help_panel="Make it ready")


@family.command()
def push(
    version: NamedVersion,
    to: Annotated[str, typer.Option(metavar="URL", help="The registry, as MLflow has it: `http://…`, `file:///…`.")],
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Write a version into MLflow's registry: `stable` is its `champion`, `candidate` its `challenger`."""
    from vitrail.workflows.mlflow_registry import mlflow_push

    _show(mlflow_push(version, to=to, store=store), as_json=as_json)


@family.command()
def pull(
    model: Annotated[str, typer.Argument(help="The registered model's name there.")],
    which: Annotated[str, typer.Argument(help="Its version's number there, or an alias such as `champion`.")],
    origin: Annotated[str, typer.Option("--from", metavar="URL", help="The registry, as MLflow has it.")],
    name: Annotated[str | None, typer.Option(help="Under which it is registered here; default: as there.")] = None,
    by: Person = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Register a package that lies in MLflow's registry; its seal is checked before anything of it is used."""
    from vitrail.workflows.mlflow_registry import mlflow_pull

    _show(mlflow_pull(model, which, origin=origin, name=name, by=by, store=store), as_json=as_json)


def _show(result: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
