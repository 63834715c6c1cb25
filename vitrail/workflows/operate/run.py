"""`vitrail operate run`: watch, propose, carry on what was approved; until Ctrl-C, or once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.database import DatabaseConflict
from vitrail.basics.errors import InputError, SystemFault, VitrailError
from vitrail.basics.events import Emit
from vitrail.basics.locks import locked
from vitrail.pages.progress import sink_or_bars
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.rollout.operating.proposals import Proposal
from vitrail.workflows.operate.operation import LOOP, Operation, opened_operation
from vitrail.workflows.operate.rollouts import rollouts_of
from vitrail.workflows.operate.steps import STEPS
from vitrail.workflows.operate.watching import watch_once


@dataclass(frozen=True, repr=False)
class OperateResult(ShownAsText):
    """What a pass came to.

    Attributes:
        told: what happened.
        proposals: all of the model, as they stand.
    """

    told: tuple[str, ...]
    proposals: tuple[Proposal, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"told": list(self.told), "proposals": [each.as_json() for each in self.proposals]}

    def lines(self) -> list[str]:
        """What happened, and what waits for somebody."""
        waiting = [f"proposal {each.number} waits: {each.next_step}" for each in self.proposals if each.next_step]
        return [*(self.told or ("nothing is wrong that was not before",)), *waiting]


def operate(
    policy: str | Path,
    *,
    once: bool = False,
    every_seconds: float = 30.0,
    workers: int | None = None,
    tell: Callable[[str], None] = print,
    emit: Emit | None = None,
) -> OperateResult:
    """Watch the version that serves, open proposals with their evidence, and carry out what a person approved.

    Nothing happens without a person, unless the policy says so. Killed anywhere, the same call goes on.

    Args:
        policy: a YAML file; see docs/operating.md.
        once: one pass, which ends where somebody or something is waited for; otherwise until Ctrl-C.
        every_seconds: between two passes.
        workers: processes that read images; None: one per core.
        tell: receives what an operator wants to read, a line at a time.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.

    Returns:
        What the last pass came to.

    Raises:
        InputError: the policy is not as expected, or another loop works in the same folder of runs.
        SystemFault: the extra `serve` is not installed; with `once`, also that a database cannot be reached.
    """
    with (
        sink_or_bars(emit) as emit,
        opened_operation(policy, rollouts=rollouts_of, emit=emit, workers=workers) as operation,
    ):
        runs = Path(operation.policy.material.runs).expanduser() / f"{operation.policy.name}-operate"
        runs.mkdir(parents=True, exist_ok=True)
        lock, before = locked(runs, thing="policy"), ""
        try:
            while True:
                try:
                    result = one_pass(operation)
                    said = repr(result)
                except SystemFault as fault:
                    if once:
                        raise
                    said = f"waiting: {fault.message}"
                if said != before and not once:
                    tell(said)
                if once:
                    return result
                before = said
                time.sleep(every_seconds)
        finally:
            lock.release()


def one_pass(operation: Operation) -> OperateResult:
    """Look once, then carry the oldest approved proposal on until it waits.

    Raises:
        SystemFault: a database cannot be reached.
    """
    told = watch_once(operation)
    for each in operation.proposals.proposals(operation.policy.name):
        if each.state == "proposed" and "approve" in operation.policy.people.without_a_person:
            note = {"note": "the policy asks nobody"}
            operation.proposals.advance(each, "approved", by=f"policy of {each.name}", facts=note)
    under_way = [each for each in operation.proposals.proposals(operation.policy.name) if each.state in STEPS]
    begun = [each for each in under_way if each.state != "approved"] or under_way
    if begun:
        told += carried_on(operation, begun[0])
    return OperateResult(tuple(told), tuple(operation.proposals.proposals(operation.policy.name)))


def carried_on(operation: Operation, proposal: Proposal) -> list[str]:
    """Step by step, until it is over, somebody or something is waited for, or something must be mended first."""
    told: list[str] = []
    try:
        while proposal.stopped is None and proposal.state in STEPS:
            made = STEPS[proposal.state](operation, proposal)
            if made is None:
                break
            proposal = operation.proposals.advance(proposal, made.state, by=made.by, facts=made.facts)
            said = " ".join(str(made.facts[name]) for name in ("why", "sentence") if made.facts.get(name))
            told.append(f"proposal {proposal.number}: {made.state}. {said}".strip())
    except DatabaseConflict:
        told.append(f"proposal {proposal.number} has gone on elsewhere")
    except SystemFault:
        raise
    except VitrailError as error:
        why = error.message if error.hint is None else f"{error.message} (hint: {error.hint})"
        operation.proposals.tell(proposal, "stopped", by=LOOP, why=why)
        told.append(f"proposal {proposal.number} stopped: {why}")
    return told


def named_proposal(operation: Operation, number: int) -> Proposal:
    """A proposal of the policy's model.

    Raises:
        InputError: there is none of that number, or it is about another model.
    """
    proposal = operation.proposals.proposal(number)
    if proposal.name != operation.policy.name:
        raise InputError(
            f"proposal {number} is about {proposal.name}, the policy about {operation.policy.name}",
            hint="name the policy of that model",
        )
    return proposal
