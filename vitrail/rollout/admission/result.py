"""What an admission came to: as a report, as plain values, as lines."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vitrail.basics.versions import versions
from vitrail.data.split_images import fingerprint
from vitrail.evaluation.evaluations import quality_of
from vitrail.evaluation.fairness import usual_fairness
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.section import Section, Sentence
from vitrail.pages.shown_as_text import ShownAsText
from vitrail.rollout.admission.all_gates import LOADS, REGRESSION_TESTS
from vitrail.rollout.admission.contest import Contest
from vitrail.rollout.admission.gates import Gate
from vitrail.rollout.admission.policy import AdmissionPolicy

AdmissionOutcome = Literal["admitted", "rejected"]


@dataclass(frozen=True, repr=False)
class AdmissionResult(ShownAsText):
    """Whether a version may be rolled out, and why not.

    Attributes:
        version: `flowers@7`.
        against: the version that it may replace; None: it is the first.
        outcome: what was decided.
        gates: every test, in order.
        policy: the bounds.
        run: the run folder.
        report: the page to read; `report.json` beside it holds the same numbers.
        seconds: from the call until everything was on disk.
    """

    version: str
    against: str | None
    outcome: AdmissionOutcome
    gates: Sequence[Gate]
    policy: AdmissionPolicy
    run: Path
    report: Path
    seconds: float = 0.0

    @property
    def is_admitted(self) -> bool:
        """Whether it may be rolled out."""
        return self.outcome == "admitted"

    def gate(self, name: str) -> Gate:
        """One test by its name."""
        return next(each for each in self.gates if each.name == name)

    @property
    def headline(self) -> dict[str, Any]:
        """The fields of the article that Vitrail grew from."""
        return headline(self.gates)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "version": self.version, "against": self.against, "outcome": self.outcome, **self.headline,
            "tests": {each.name: each.as_json() for each in self.gates}, "policy": self.policy.model_dump(mode="json"),
            "run": str(self.run), "report": str(self.report), "seconds": round(self.seconds, 2),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The outcome, every test, and what to type next."""
        beside = f" against {self.against}" if self.against else ", the first of its name"
        told = [f"{self.version}: {self.outcome}{beside}", ""]
        told += [f"{each.name:<23}{_decided(each, self.policy):<20} {each.said}" for each in self.gates]
        told += ["", f"report   {self.report}", f"time     {self.seconds:.1f} s"]
        if self.is_admitted:
            told.append(f'next     vitrail sign {self.version} --as "YOUR NAME" --note "what you looked at"')
        return told


def outcome_of(gates: Sequence[Gate], policy: AdmissionPolicy) -> AdmissionOutcome:
    """Every test gates."""
    return "admitted" if all(each.lets_pass(policy) for each in gates) else "rejected"


def why_of(gates: Sequence[Gate], policy: AdmissionPolicy) -> str:
    """What was not passed, in one line; empty where all was."""
    return "; ".join(f"{each.name}: {each.said}" for each in gates if not each.lets_pass(policy))


def headline(gates: Sequence[Gate]) -> dict[str, Any]:
    """`accuracy_improvement`, `speed_change`, `meets_threshold`, `regression_tests`."""
    by_name: Mapping[str, Gate] = {each.name: each for each in gates}
    return {
        "accuracy_improvement": by_name["non_inferiority"].figures.get("accuracy_improvement"),
        "speed_change": by_name["speed"].figures.get("speed_change"),
        "meets_threshold": by_name["threshold"].decision == "passed",
        "regression_tests": {name: by_name[name].decision for name in REGRESSION_TESTS},
    }


def write_admission(result: AdmissionResult, contest: Contest | None, command: str) -> Path:
    """Write the report: the tests first, then what they rest on."""
    sections = [admission_section(result)]
    window = result.version
    if contest is not None:
        window = fingerprint(contest.candidate.judged.rows)
        of_candidate = quality_of(contest.subject())
        fairness = usual_fairness(contest.candidate.judged)
        beside = (contest.comparison, of_candidate, fairness, contest.before_after, contest.shift)
        sections += [each for each in beside if isinstance(each, Section)]
    page = Report(
        title=f"{result.version}: {result.outcome}", created=time.strftime("%Y-%m-%d %H:%M"), command=command,
        sections=sections, seed=result.policy.seed, versions=versions(), window_of=window,
    )  # fmt: skip
    return write_report(page, result.run)


def admission_section(result: AdmissionResult) -> Section:
    """The tests as a section of a report."""
    sentences = [_sentence(each, result.policy) for each in result.gates]
    passed = sum(each.lets_pass(result.policy) for each in result.gates)
    first = Sentence(
        f"{result.version} is {result.outcome}: {passed} of {len(result.gates)} tests are passed; every test gates.",
        "better" if result.is_admitted else "worse",
    )
    figures = {
        "version": result.version, "against": result.against, "outcome": result.outcome, **result.headline,
        "tests": {each.name: each.as_json() for each in result.gates}, "policy": result.policy.model_dump(mode="json"),
    }  # fmt: skip
    title = "May it be rolled out?"
    return Section("admission", 1, title, figures, [first, *sentences], "sections/admission.html")


def _sentence(gate: Gate, policy: AdmissionPolicy) -> Sentence:
    name = "it can be loaded" if gate.name == LOADS else gate.name.replace("_", " ")
    passed = gate.lets_pass(policy)
    verdict = "better" if passed else ("worse" if gate.decision == "failed" else "not enough evidence")
    said = gate.said[0].upper() + gate.said[1:]
    return Sentence(f"{name[0].upper()}{name[1:]}: {_decided(gate, policy)}. {said.removesuffix('.')}.", verdict)


def _decided(gate: Gate, policy: AdmissionPolicy) -> str:
    is_let_pass = gate.lets_pass(policy) and gate.decision != "passed"
    return f"{gate.decision}, allowed" if is_let_pass else gate.decision
