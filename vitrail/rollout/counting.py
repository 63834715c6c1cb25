"""What servers have counted and answered, as a tick looks at it."""

from collections import Counter
from collections.abc import Iterable, Mapping
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
    alike = Counter((stable.answer, copy.answer, stable.truth or copy.truth) for stable, copy in both)
    return pairs_of_counts(alike, classes=classes)


def pairs_of_counts(alike: Mapping[tuple[str, str, str | None], int], *, classes: Iterable[str]) -> Pairs:
    """Pairs that were counted by what both said and what was true.

    Args:
        alike: how many, by answer of the stable model, answer of the candidate, and truth (None: it has not come).
        classes: all that the model knows.
    """
    said, agreed, judged, fixed, broken = (Counter[str]() for _ in range(5))
    for (stable, candidate, truth), n in alike.items():
        said[stable] += n
        agreed[stable] += n * (stable == candidate)
        if truth is not None:
            judged[truth] += n
            fixed[truth] += n * (stable != truth == candidate)
            broken[truth] += n * (candidate != truth == stable)
    by_class = {
        name: ClassPairs(said[name], agreed[name], judged[name], fixed[name], broken[name]) for name in classes
    }  # fmt: skip
    return Pairs(said.total(), agreed.total(), judged.total(), fixed.total(), broken.total(), by_class)
