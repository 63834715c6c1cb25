"""`vitrail rollout`: replace a model without fear."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitrail.cli.options import AsJson, Quiet, Settings, parsed
from vitrail.cli.output import tell
from vitrail.cli.versions import NamedVersion, Person, Store
from vitrail.pages.progress import ProgressBars

if TYPE_CHECKING:
    from vitrail.rollout.live.shown import RolloutResult

FOLLOW_SECONDS = 1.0
State = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL", show_default="$VITRAIL_STATE, else runs/serve.sqlite",
        help="The servers' state, as for `vitrail serve`.",
    ),
]  # fmt: skip
Plan = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A YAML file with stages and bounds, e.g. `stages: {canary: 5, all: 100}`."),
]
Why = Annotated[str, typer.Option(help="Why, for the record.")]
Every = Annotated[
    float | None, typer.Option(min=0.1, help="Seconds from one look at the servers to the next.", show_default="5")
]
Number = Annotated[int | None, typer.Option(help="Of the rollout; default: the one that goes on.")]

rollout = typer.Typer(
    help="Replace the model that serves: unseen, for a few, for all; or back.", no_args_is_help=True
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(rollout, name="rollout", rich_help_panel="Keep it good")


@rollout.callback()
def _root() -> None:
    """Replace the model that serves: unseen, for a few, for all; or back."""


@rollout.command()
def start(
    version: NamedVersion,
    state: State = None,
    store: Store = None,
    plan: Plan = None,
    stage_seconds: Annotated[float | None, typer.Option(help="Least time of every stage.", show_default="600")] = None,
    replaces: Annotated[
        str | None, typer.Option(metavar="ARM", help="The stable arm that it replaces; default: the only one.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it to the servers, which take it up.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show the plan, change nothing.")
    ] = False,
    every: Every = None,
    by: Person = None,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Roll an admitted version out: beside what serves, unseen, to a few users, to all; or all return.

    Ends with exit code 1 where it was stopped. Ctrl-C leaves it as it stands: a server that runs takes it up.
    """
    import vitrail

    given: dict[str, Any] = {
        "state": state,
        "store": store,
        "plan": plan,
        "replaces": replaces,
        **parsed(settings or []),
    }
    timing = {"least_stage_seconds": stage_seconds, "look_seconds": every}
    given |= {name: value for name, value in timing.items() if value is not None}
    if dry_run:
        _show(vitrail.plan_rollout(version, **given), as_json=as_json)
        return
    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.start_rollout(version, by=by, conduct=not detach, emit=progress, **given)
    _end(result, as_json=as_json)


@rollout.command()
def status(
    number: Number = None,
    state: State = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on telling what changes, until it is over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell where a rollout stands: its phase, why it waits, every gate with its interval, and what was decided."""
    import vitrail

    result = vitrail.rollout_status(number, state=state)
    _show(result, as_json=as_json)
    while follow and not result.rollout.is_closed:
        time.sleep(FOLLOW_SECONDS)
        before, result = result, vitrail.rollout_status(result.rollout.number, state=state)
        if result.rollout.state.decisions != before.rollout.state.decisions or result.rollout.is_closed:
            _show(result, as_json=as_json)


@rollout.command()
def pause(by: Person = None, why: Why = "", state: State = None, as_json: AsJson = False) -> None:
    """Let it stay where it is; it goes on measuring, and may still be stopped."""
    import vitrail

    _order(vitrail.pause_rollout, by, why, state, as_json=as_json)


@rollout.command()
def resume(by: Person = None, why: Why = "", state: State = None, as_json: AsJson = False) -> None:
    """Let a paused rollout go on; what paused it is set aside for this phase."""
    import vitrail

    _order(vitrail.resume_rollout, by, why, state, as_json=as_json)


@rollout.command()
def promote(by: Person = None, why: Why = "", state: State = None, as_json: AsJson = False) -> None:
    """Agree to the next stage, or go on to it before it is due; no check is set aside."""
    import vitrail

    _order(vitrail.promote_rollout, by, why, state, as_json=as_json)


@rollout.command()
def abort(by: Person = None, why: Why = "", state: State = None, as_json: AsJson = False) -> None:
    """End it: users return to the stable model, and the version is rejected."""
    import vitrail

    _order(vitrail.abort_rollout, by, why, state, as_json=as_json)


@rollout.command()
def conduct(
    number: Number = None,
    state: State = None,
    store: Store = None,
    take_over: Annotated[bool, typer.Option("--take-over", help="Also from a conductor that lives.")] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    silent: Annotated[str | None, typer.Option("--silent", hidden=True)] = None,
    every: Every = None,
    by: Person = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a rollout that nobody conducts any more; servers do so by themselves.

    Ends with exit code 1 where it was stopped.
    """
    import vitrail
    from vitrail.rollout.live.watcher import end_with_input

    ended = threading.Event()
    if with_parent:
        end_with_input(ended)
    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.conduct_rollout(
            number, state=state, store=store, by=by, take_over=take_over, silent=silent, every=every, ended=ended,
            emit=progress,
        )  # fmt: skip
    _end(result, as_json=as_json)


@rollout.command()
def replay(
    number: Annotated[int, typer.Argument(help="Of the rollout.")],
    plan: Plan = None,
    state: State = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Put the record of a rollout before its plan, or another one: what would have been decided when."""
    import vitrail

    _show(vitrail.replay_rollout(number, plan=plan, state=state, **parsed(settings or [])), as_json=as_json)


def _order(
    order: "Callable[..., RolloutResult]", by: str | None, why: str, state: str | None, *, as_json: bool
) -> None:  # fmt: skip
    _show(order(by=by, why=why, state=state), as_json=as_json)


def _end(result: "RolloutResult", *, as_json: bool) -> None:
    _show(result, as_json=as_json)
    raise typer.Exit(1 if result.result not in (None, "success") else 0)


def _show(result: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
