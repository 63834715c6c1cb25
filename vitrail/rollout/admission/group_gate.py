"""The gate of floors per group: of every group that the table names, enough images are answered rightly."""

import numpy as np

from vitrail.evaluation.attribute_groups import attribute_groups, usual_attributes
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.subject import NotJudged
from vitrail.measures.fairness_rates import LEAST_GROUP
from vitrail.rollout.admission.contest import Contest
from vitrail.rollout.admission.gates import Gate, bounded_gate, not_measured_gate, percent

_NAME = "group_floors"


def group_floors_gate(contest: Contest) -> Gate:
    """The accuracy of the worst group; groups of fewer than `LEAST_GROUP` images are too small for a floor.

    Raises:
        InputError: an attribute of the policy is not in the table.
    """
    policy, judged = contest.policy, contest.candidate.judged
    asked = usual_attributes(judged) if policy.attributes is None else policy.attributes
    if not asked:
        return Gate(_NAME, "passed", "no attribute of the table divides the images into groups")
    try:
        shares = {name: each for attribute in asked for name, each in _shares(judged, attribute).items()}
    except NotJudged as reason:
        return not_measured_gate(_NAME, str(reason))
    if not shares:
        return not_measured_gate(_NAME, f"every group of {', '.join(asked)} has fewer than {LEAST_GROUP} images")
    worst, least = min(shares, key=lambda name: shares[name]), policy.least_group_accuracy
    said = f"it is right about {percent(shares[worst])} of {worst}, its worst group; {percent(least)} are asked for"
    return bounded_gate(_NAME, said, beyond=least - shares[worst], figures={"accuracy": shares})


def _shares(judged: JudgedImages, attribute: str) -> dict[str, float]:
    groups = attribute_groups(judged, attribute, least_group=LEAST_GROUP)
    right = judged.predicted == judged.labels
    counts = np.bincount(groups.numbers, minlength=len(groups.names))
    return {
        f"{groups.name} {name!r}": float(right[groups.numbers == number].mean())
        for number, name in enumerate(groups.names)
        if counts[number] >= LEAST_GROUP
    }
