"""`vitrail operate run|status|approve|decline|resume|sign`: keep the version that serves good."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vitrail.cli.options import AsJson, Quiet, Workers
from vitrail.cli.output import tell
from vitrail.pages.progress import ProgressBars

operate = typer.Typer(
    help="Watch the version that serves, propose a replacement, carry out what a person agreed to.",
    no_args_is_help=True,
)
Policy = Annotated[Path, typer.Option(metavar="FILE", help="The policy; see docs/operating.md.")]
Number = Annotated[int, typer.Argument(metavar="N", help="Of the proposal.")]
Who = Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides.")]
Said = Annotated[str, typer.Option(help="Why: what was looked at.")]
USUAL = Path("operate.yaml")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(operate, name="operate", rich_help_panel="Keep it good")


@operate.callback()
def _root() -> None:
    """Watch the version that serves, propose a replacement, carry out what a person agreed to."""


@operate.command()
def run(
    policy: Policy = USUAL,
    once: Annotated[bool, typer.Option("--once", help="One pass, then end; for cron and tests.")] = False,
    every: Annotated[float, typer.Option(min=0.1, max=86400, help="Seconds between two passes.")] = 30.0,
    workers: Workers = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Look at the live figures, open proposals, and carry approved ones on; until Ctrl-C. Killed anywhere, it goes on.

    A policy is a few lines, for example:

    `name: flowers`, `data: labelled/`, `held_out: held-out/`, `fit: {preset: quick}`, `approvers: [Ada Lovelace]`.
    """
    import vitrail

    with ProgressBars(quiet=quiet) as progress:
        result = vitrail.operate(policy, once=once, every_seconds=every, workers=workers, tell=tell, emit=progress)
    _show(result, as_json=as_json)


@operate.command()
def status(
    number: Annotated[int | None, typer.Argument(metavar="N", help="Of one proposal; default: all.")] = None,
    policy: Policy = USUAL,
    as_json: AsJson = False,
) -> None:
    """What was proposed, why, who agreed, and how far it is."""
    import vitrail

    _show(vitrail.operate_status(policy, number), as_json=as_json)


@operate.command()
def approve(
    number: Number,
    by: Who,
    note: Said,
    feedback: Annotated[
        bool | None, typer.Option("--feedback/--no-feedback", help="Train on feedback, or not; default: as proposed.")
    ] = None,
    mitigation: Annotated[
        str | None, typer.Option(help="`none`, `reweighting` or `thresholds`; default: as the policy says.")
    ] = None,
    policy: Policy = USUAL,
    as_json: AsJson = False,
) -> None:
    """Agree to a proposal: a replacement is fitted, registered and admitted, and then waits for a signature."""
    import vitrail

    _show(
        vitrail.approve_proposal(policy, number, by=by, note=note, feedback=feedback, mitigation=mitigation),  # type: ignore[arg-type]
        as_json=as_json,
    )


@operate.command()
def decline(
    number: Number,
    by: Who,
    why: Annotated[str, typer.Option(help="The reason.")],
    policy: Policy = USUAL,
    as_json: AsJson = False,
) -> None:
    """Decline a proposal, or give one up: the same is proposed again only where it got materially worse."""
    import vitrail

    _show(vitrail.decline_proposal(policy, number, by=by, why=why), as_json=as_json)


@operate.command()
def resume(number: Number, by: Who, note: Said, policy: Policy = USUAL, as_json: AsJson = False) -> None:
    """Say that what stopped a proposal is mended: that step is tried again."""
    import vitrail

    _show(vitrail.resume_proposal(policy, number, by=by, note=note), as_json=as_json)


@operate.command()
def sign(number: Number, by: Who, note: Said, policy: Policy = USUAL, as_json: AsJson = False) -> None:
    """Sign for the admitted replacement, as `vitrail sign` does; its rollout begins then."""
    import vitrail

    _show(vitrail.sign_proposal(policy, number, by=by, note=note), as_json=as_json)


def _show(result: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        tell(repr(result))
