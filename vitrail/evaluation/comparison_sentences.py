"""A comparison of two models in words: verdicts first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitrail.evaluation.fairness_sentences import quoted
from vitrail.evaluation.section import Sentence
from vitrail.measures.intervals import Measure
from vitrail.measures.paired import Decision, PairedComparison, decide
from vitrail.measures.replacement import Changes, Replacement, replacement
from vitrail.pages.numbers import p_value as p_words

_NAMED = 3


@dataclass(frozen=True)
class ComparedModels:
    """What was found about both models as a whole.

    Attributes:
        whole: what changes where B takes the place of A.
        losses: whether B's log loss is lower.
        margin: how much accuracy B may lose.
    """

    whole: Changes
    losses: PairedComparison
    margin: float

    @property
    def decision(self) -> Decision:
        """Whether B is right more often."""
        return decide(self.whole.p_value, self.whole.difference.value or 0.0)

    @property
    def replacement(self) -> Replacement:
        """Whether B may replace A."""
        return replacement(self.whole.difference, margin=self.margin)

    def as_json(self) -> dict[str, Any]:
        """What changes, and the tests of it."""
        whole, losses = self.whole, self.losses
        return {
            "changes": {
                "accuracy": whole.difference.as_json(),
                "turn_right": whole.fixed.as_json(),
                "turn_wrong": whole.broken.as_json(),
                "log_loss_saved": losses.difference.as_json(),
            },
            "tests": {
                "accuracy": {"decision": self.decision, "p_value": whole.p_value, "method": whole.method},
                "log_loss": {"decision": losses.decision, "p_value": losses.p_value, "method": losses.method},
                "mcnemar": whole.mcnemar.as_json(),
                "replacement": {"decision": self.replacement, "margin": self.margin},
            },
        }


def verdict_sentences(compared: ComparedModels, before: float, after: float) -> list[Sentence]:
    """Which is better, whether its probabilities are, whether B may replace A, and how many answers change.

    Args:
        compared: what was found.
        before: accuracy of A.
        after: accuracy of B.
    """
    whole, losses = compared.whole, compared.losses
    shown = f"{100 * after:.1f} % against {100 * before:.1f} %, {_points(whole.difference)}"
    beside = f"{shown}, {p_words(whole.p_value)}, {whole.difference.n:,} images"
    right = {"better": "B is right more often than A", "worse": "B is right less often than A"}.get(
        compared.decision, "Not enough evidence that B is right more or less often than A"
    )
    probabilities = {"better": "B's probabilities are better than A's", "worse": "B's probabilities are worse than A's"}
    likelier = probabilities.get(losses.decision, "Not enough evidence that B's probabilities are better or worse")
    changed = (
        f"{whole.mcnemar.broken:,} answers turn wrong, {whole.broken.text()}, and {whole.mcnemar.fixed:,} turn right, "
        f"{whole.fixed.text()}."
    )
    return [
        Sentence(f"{right}: {beside}", compared.decision),
        Sentence(f"{likelier} (log loss), {p_words(losses.p_value)}", losses.decision),
        _replacement_sentence(compared),
        Sentence(changed),
    ]


def _replacement_sentence(compared: ComparedModels) -> Sentence:
    points = f"{100 * compared.margin:g} point{'' if compared.margin == 0.01 else 's'}"
    match compared.replacement:
        case "may replace":
            return Sentence(f"B may replace A: it loses less than {points} of accuracy, if any", "better")
        case "may not replace":
            return Sentence(f"B may not replace A: it loses more than {points} of accuracy", "worse")
        case undecided:
            return Sentence(f"Not enough evidence that B loses less than {points} and may replace A", undecided)


def speed_sentence(a: float | None, b: float | None) -> Sentence:
    """How fast both answered, in images per second."""
    if a is None or b is None:
        return Sentence("How fast both answer was not measured: answers were there already.")
    return Sentence(f"A answered {a:,.1f} images a second, B {b:,.1f}, reading included.")


def losers(part: str, rows: Mapping[str, Mapping[str, Any]]) -> list[Sentence]:
    """Classes or groups for whom B is worse than A."""
    worse = [name for name, test in rows["tests"].items() if test["decision"] == "worse"]
    if not worse:
        return []
    words = [f"{quoted(name)} ({_points(Measure.from_json(rows['measures'][name]['difference']))})" for name in worse]
    more = f", and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return [Sentence(f"B is right less often than A by {part} for {', '.join(words[:_NAMED])}{more}", "worse")]


def _points(difference: Measure) -> str:
    value = f"{100 * (difference.value or 0):+.1f} points"
    if difference.low is None or difference.high is None:
        return value
    return f"{value} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
