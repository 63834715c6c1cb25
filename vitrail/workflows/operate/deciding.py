"""`vitrail operate status|approve|decline|resume|sign`: what a person does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.rollout.operating.policy import Mitigation
from vitrail.rollout.operating.proposals import Proposal
from vitrail.workflows.operate.operation import Operation, opened_operation
from vitrail.workflows.operate.rollouts import rollouts_of
from vitrail.workflows.operate.run import named_proposal


@dataclass(frozen=True, repr=False)
class ShownProposals(ShownAsText):
    """Proposals, with their evidence and history.

    Attributes:
        proposals: oldest first.
        after: what was done, and what comes of it; empty: nothing was.
    """

    proposals: tuple[Proposal, ...]
    after: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"proposals": [each.as_json() for each in self.proposals]}

    def lines(self) -> list[str]:
        """A paragraph each."""
        told = [line for each in self.proposals for line in ("", *each.words())]
        if self.after:
            return [*told[1:-1], self.after]
        return told[1:] or ["nothing was proposed yet"]


def operate_status(policy: str | Path, number: int | None = None) -> ShownProposals:
    """What was proposed, why, who agreed, and how far it is.

    Args:
        policy: the YAML file.
        number: of one proposal; None: all of the model.

    Raises:
        InputError: the policy is not as expected, or there is no such proposal.
        SystemFault: the database cannot be reached.
    """
    with opened_operation(policy, rollouts=rollouts_of) as operation:
        if number is not None:
            return ShownProposals((named_proposal(operation, number),))
        return ShownProposals(tuple(operation.proposals.proposals(operation.policy.name)))


def approve_proposal(
    policy: str | Path, number: int, *, by: str, note: str, feedback: bool | None = None,
    mitigation: Mitigation | None = None,
) -> ShownProposals:  # fmt: skip
    """Agree to a proposal: the loop fits, registers and admits a replacement, and then waits for a signature.

    Args:
        policy: the YAML file.
        number: of the proposal.
        by: who agrees; one of the policy's `approvers` where it names some.
        note: why.
        feedback: whether feedback is trained on; None: as the evidence has it.
        mitigation: `none`, `reweighting` or `thresholds`; None: as the policy has it.

    Raises:
        InputError: there is no such proposal, it is not waiting for that, or this person may not.
        SystemFault: the database cannot be reached.
    """
    said = {"note": note, "feedback": feedback, "mitigation": mitigation}
    facts = {name: each for name, each in said.items() if each is not None}
    with opened_operation(policy, rollouts=rollouts_of) as operation:
        proposal, who = _asked(operation, number, by, note)
        return ShownProposals((operation.proposals.advance(proposal, "approved", by=who, facts=facts),))


def decline_proposal(policy: str | Path, number: int, *, by: str, why: str) -> ShownProposals:
    """Decline a proposal, or give up one that is under way, until its rollout begins.

    It stays declined: the same is proposed again for the same version only where it got materially worse.

    Args:
        policy: the YAML file.
        number: of the proposal.
        by: who declines.
        why: the reason.

    Raises:
        InputError: as `approve_proposal`.
        SystemFault: the database cannot be reached.
    """
    with opened_operation(policy, rollouts=rollouts_of) as operation:
        proposal, who = _asked(operation, number, by, why)
        return ShownProposals((operation.proposals.advance(proposal, "declined", by=who, facts={"why": why}),))


def resume_proposal(policy: str | Path, number: int, *, by: str, note: str) -> ShownProposals:
    """Say that what stopped a proposal is mended: the loop tries that step again.

    Args:
        policy: the YAML file.
        number: of the proposal.
        by: who says so.
        note: what was mended.

    Raises:
        InputError: as `approve_proposal`; also where nothing stopped it.
        SystemFault: the database cannot be reached.
    """
    with opened_operation(policy, rollouts=rollouts_of) as operation:
        proposal, who = _asked(operation, number, by, note)
        if proposal.stopped is None:
            raise InputError(f"proposal {number} was not stopped", hint=f"vitrail operate status {number}")
        return ShownProposals((operation.proposals.tell(proposal, "resumed", by=who, why=note),))


def sign_proposal(policy: str | Path, number: int, *, by: str, note: str) -> ShownProposals:
    """Sign for the admitted replacement of a proposal, as `vitrail sign` does; the loop then begins its rollout.

    Args:
        policy: the YAML file.
        number: of the proposal.
        by: who signs.
        note: what was looked at.

    Raises:
        InputError: as `approve_proposal`.
        PackageError: its package is not the one that was registered.
        SystemFault: a database cannot be reached.
    """
    with opened_operation(policy, rollouts=rollouts_of) as operation:
        proposal, who = _asked(operation, number, by, note)
        if proposal.state != "admitted":
            raise InputError(
                f"proposal {number} is {proposal.state}: there is no admitted version to sign",
                hint=f"vitrail operate status {number}",
            )
        version = proposal.fact("registered", "version")
        operation.versions.sign(version, by=who, note=note)
        return ShownProposals((proposal,), f"  {version} is signed by {who}: `vitrail operate run` begins its rollout")


def _asked(operation: Operation, number: int, by: str, said: str) -> tuple[Proposal, str]:
    """The proposal and the person.

    Raises:
        InputError: there is none, the person may not, or nothing was said.
    """
    who = operation.policy.refuse_stranger(by)
    if not said.strip():
        raise InputError("a decision says why; nothing was said", hint='for instance --note "read its evidence"')
    return named_proposal(operation, number), who
