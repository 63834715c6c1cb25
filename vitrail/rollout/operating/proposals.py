"""A proposal: why a version should be replaced, who agreed, and how far its replacement is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

ProposalState = Literal[
    "proposed", "approved", "declined", "overtaken", "gathered", "fitted", "registered", "admitted", "rejected",
    "signed", "rolling out", "done", "failed",
]  # fmt: skip
STATES: tuple[ProposalState, ...] = get_args(ProposalState)

NEXT_STATES: Mapping[ProposalState, tuple[ProposalState, ...]] = {
    "proposed": ("approved", "declined", "overtaken"),
    "approved": ("gathered", "declined", "overtaken"),
    "gathered": ("fitted", "declined"),
    "fitted": ("registered", "declined"),
    "registered": ("admitted", "rejected", "declined"),
    "admitted": ("signed", "declined"),
    "signed": ("rolling out", "declined"),
    "rolling out": ("done", "failed"),
    "declined": (), "overtaken": (), "rejected": (), "done": (), "failed": (),
}  # fmt: skip
"""From a state to those that may follow; once users are concerned, the rollout itself is stopped."""
LineKind = Literal["state", "told", "stopped", "resumed"]


@dataclass(frozen=True)
class ProposalLine:
    """One line of a proposal's history.

    Attributes:
        position: from 1 on, without a gap.
        kind: a new state; something told; that a step cannot go on before somebody mends what it needs; that it may.
        by: who did it.
        at: seconds since 1970.
        facts: plain values: of a state `state` and what was made, else `why`.
    """

    position: int
    kind: LineKind
    by: str
    at: float
    facts: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"position": self.position, "kind": self.kind, "by": self.by, "at": self.at, **self.facts}


@dataclass(frozen=True)
class Proposal:
    """A proposal and its history; the history alone says where it stands.

    Attributes:
        number: from 1 on.
        name: of the model.
        kind: of the trigger.
        about: the group, as `sex=f`; empty where it is about all.
        version: that should be replaced.
        digest: of its package.
        evidence: `sentence`, `figures`, `amount`, `feedback`, `feedback_used`: plain values.
        lines: oldest first.
    """

    number: int
    name: str
    kind: str
    about: str
    version: str
    digest: str
    evidence: Mapping[str, Any]
    lines: Sequence[ProposalLine] = field(default_factory=tuple)

    @property
    def state(self) -> ProposalState:
        """Where it stands."""
        found: ProposalState = "proposed"
        for each in self.lines:
            if each.kind == "state":
                found = each.facts["state"]
        return found

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return not NEXT_STATES[self.state]

    @property
    def position(self) -> int:
        """Of the last line."""
        return self.lines[-1].position if self.lines else 0

    @property
    def key(self) -> tuple[str, str]:
        """What it is about: its kind and group."""
        return self.kind, self.about

    @property
    def stopped(self) -> str | None:
        """Why it waits for somebody who mends something; None: it does not."""
        waiting = None
        for each in self.lines:
            if each.kind != "told":
                waiting = str(each.facts.get("why", "")) if each.kind == "stopped" else None
        return waiting

    @property
    def uses_feedback(self) -> bool:
        """Whether feedback is trained on: as whoever approved said, else as the evidence does."""
        said = self.fact("approved", "feedback")
        return bool(self.evidence.get("feedback_used", False) if said is None else said)

    def line_of(self, state: ProposalState) -> ProposalLine | None:
        """The line with which it came to a state; None: it never did."""
        found = [each for each in self.lines if each.kind == "state" and each.facts["state"] == state]
        return found[-1] if found else None

    def fact(self, state: ProposalState, name: str) -> Any:
        """What was written when it came to a state; None: nothing was."""
        line = self.line_of(state)
        return None if line is None else line.facts.get(name)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "number": self.number, "name": self.name, "kind": self.kind, "about": self.about, "version": self.version,
            "digest": self.digest, "state": self.state, "stopped": self.stopped, "evidence": dict(self.evidence),
            "history": [each.as_json() for each in self.lines],
        }  # fmt: skip

    def words(self) -> list[str]:
        """All of it, for people."""
        told = [f"proposal {self.number}  {self.title}: {self.state}", f"  {self.evidence.get('sentence', '')}"]
        told += [f"  {each}" for each in self.evidence.get("told", ())]
        for each in self.lines:
            when = f"{datetime.fromtimestamp(each.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
            what = each.facts.get("state", each.kind)
            said = " ".join(str(each.facts[name]) for name in ("why", "note", "sentence") if each.facts.get(name))
            told.append(f"  {when}  {what:<12} {each.by}{f': {said}' if said else ''}")
        return [*told, *([f"  next: {self.next_step}"] if self.next_step else [])]

    @property
    def title(self) -> str:
        """`fairness of flowers@7 (sex=f)`."""
        return f"{self.kind} of {self.version}{f' ({self.about})' if self.about else ''}"

    @property
    def next_step(self) -> str:
        """What somebody can do now; empty where nobody is needed."""
        if self.stopped is not None:
            return f"mend it, then `vitrail operate resume {self.number}`"
        if self.state == "proposed":
            return f"`vitrail operate approve {self.number}` or `decline {self.number}`, each with --as and a reason"
        if self.state == "admitted":
            return f"`vitrail operate sign {self.number} --as NAME --note …`"
        return ""
