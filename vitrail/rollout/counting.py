"""What servers have counted and answered, as a tick looks at it."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from vitrail.monitoring.tally import Tally
from vitrail.rollout.evidence import ArmCounts, ClassPairs, Pairs


class KeptAnswer(NamedTuple):
    """An answer that was kept.

    Attributes:
        request_id: the same for an answer and that of a shadow to its copy.
        arm: who answered.
        answer: name of the class.
        truth: name of the class; None: it has not come.
    """

    request_id: str
    arm: str
    answer: str
    truth: str | None = None


def arm_counts(tally: Tally, answers: Iterable[KeptAnswer] = ()) -> ArmCounts:
    """The counts of an arm.

    Answers in another arm's stead are no requests of its own: a control would look better the more the candidate fails.

    Args:
        tally: of all servers, since the routes of the phase are in force.
        answers: of the arm in that time; those without a truth are passed over.
    """
    told = [each for each in answers if each.truth is not None]
    wrong = sum(each.answer != each.truth for each in told)
    return ArmCounts(tally.successes + tally.failures, tally.failures, dict(tally.times), len(told), wrong)


def paired_answers(answers: Iterable[KeptAnswer], *, shadow: str, classes: Iterable[str]) -> Pairs:
    """The answers of a shadow beside those that users got, request by request; what only one has answered is left out.

    Args:
        answers: of all arms.
        shadow: the arm of the candidate; any other answer to the same request is the stable model's.
        classes: all that the model knows: they are tested one by one, and decided on before.
    """
    by_request: dict[str, dict[bool, KeptAnswer]] = {}
    for each in answers:
        by_request.setdefault(each.request_id, {})[each.arm == shadow] = each
    both = [(found[False], found[True]) for found in by_request.values() if len(found) == 2]
    said: Counter[str] = Counter(stable.answer for stable, _ in both)
    agreed: Counter[str] = Counter(stable.answer for stable, copy in both if stable.answer == copy.answer)
    told = [(stable.truth or copy.truth, stable.answer, copy.answer) for stable, copy in both]
    judged: Counter[str] = Counter(truth for truth, _, _ in told if truth is not None)
    fixed: Counter[str] = Counter(truth for truth, one, other in told if truth is not None and one != truth == other)
    broken: Counter[str] = Counter(truth for truth, one, other in told if truth is not None and other != truth == one)
    by_class = {
        name: ClassPairs(said[name], agreed[name], judged[name], fixed[name], broken[name]) for name in classes
    }  # fmt: skip
    return Pairs(said.total(), agreed.total(), judged.total(), fixed.total(), broken.total(), by_class)
