"""A gate: one test that a candidate passes, or does not, with the figure, the bound, and by how much it fell short."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from vitrail.measures.intervals import as_percent
from vitrail.rollout.admission.policy import AdmissionPolicy

GateDecision = Literal["passed", "failed", "not enough evidence", "not measured"]


@dataclass(frozen=True)
class Gate:
    """What one test came to.

    Attributes:
        name: of the test, e.g. `edge_cases`.
        decision: a test that could not be made is not passed.
        said: one sentence with the figure and the bound.
        short_by: how far the figure is beyond the bound, in its own unit; None where it is not, or there is none.
        figures: plain values.
    """

    name: str
    decision: GateDecision
    said: str
    short_by: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    def lets_pass(self, policy: AdmissionPolicy) -> bool:
        """Whether the candidate may go on."""
        if self.decision == "not measured":
            return self.name in policy.may_be_missing
        return self.decision == "passed" or (self.decision == "not enough evidence" and policy.admit_without_evidence)

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `Gate(**values)` makes it again."""
        return asdict(self)


def bounded_gate(name: str, said: str, *, beyond: float, figures: Mapping[str, Any]) -> Gate:
    """A gate of one figure.

    Args:
        name: of the test.
        said: its sentence.
        beyond: how far the figure lies beyond its bound; 0 or less: it does not.
        figures: plain values.
    """
    failed = beyond > 0
    return Gate(name, "failed" if failed else "passed", said, beyond if failed else None, dict(figures))


def not_measured_gate(name: str, why: str) -> Gate:
    """A test that could not be made, and why."""
    return Gate(name, "not measured", why)


def unopposed_gate(name: str) -> Gate:
    """A test against the stable version, of which there is none yet."""
    return Gate(name, "passed", "there is no predecessor to compare it with")


def percent(share: float | int) -> str:
    """A share as people read it: `96.7 %`."""
    return f"{as_percent(share)} %"
