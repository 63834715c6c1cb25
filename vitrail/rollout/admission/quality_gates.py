"""Gates of quality: is the candidate good enough, and does nobody lose by it?"""

from typing import Any

from vitrail.basics.seeds import derived_seed
from vitrail.measures.calibration import expected_calibration_error
from vitrail.measures.classification import accuracy, accuracy_above_majority, majority_baseline
from vitrail.measures.intervals import Measure
from vitrail.measures.replacement import replacement
from vitrail.rollout.admission.contest import Contest
from vitrail.rollout.admission.gates import Gate, GateDecision, bounded_gate, not_measured_gate, percent, unopposed_gate


def classes_gate(contest: Contest) -> Gate:
    """Whoever uses the stable version may get each of its answers from the candidate, too."""
    mine = contest.candidate.predictor.classes
    if contest.stable is None:
        return bounded_gate("classes", f"it knows {len(mine):,} classes", beyond=0.0, figures={"classes": len(mine)})
    missing = [each for each in contest.stable.predictor.classes if each not in mine]
    said = f"it knows all {len(contest.stable.predictor.classes):,} classes of {contest.stable.id}"
    if missing:
        shown = ", ".join(repr(each) for each in missing[:5]) + (" …" if len(missing) > 5 else "")
        said = f"it does not know {shown} of {contest.stable.id}"
    return bounded_gate("classes", said, beyond=float(len(missing)), figures={"missing": missing})


def threshold_gate(contest: Contest) -> Gate:
    """Its accuracy, against that of the stable version and the policy's own floor."""
    policy, judged = contest.policy, contest.candidate.judged
    measured = accuracy(judged.labels, judged.predicted, groups=judged.groups, seed=policy.seed)
    value = measured.value or 0.0
    figures: dict[str, Any] = {"accuracy": measured.as_json()}
    if contest.common is not None:
        common = contest.common
        now, before = float(common.after.mean()), float(common.before.mean())
        least = max(policy.threshold * before, policy.least_accuracy or 0.0)
        said = (
            f"it is right about {percent(now)}, at least {percent(least)} are asked for "
            f"({policy.threshold:g} of the {percent(before)} of {contest.stable_id})"
        )
        return bounded_gate("threshold", said, beyond=least - now, figures={**figures, "least": least})
    if policy.least_accuracy is not None:
        said = f"it is right about {percent(value)}, at least {percent(policy.least_accuracy)} are asked for"
        return bounded_gate("threshold", said, beyond=policy.least_accuracy - value, figures=figures)
    verdict = accuracy_above_majority(judged.labels, judged.predicted, groups=judged.groups, seed=policy.seed)
    usual = majority_baseline(judged.labels).value or 0.0
    said = f"it is right about {measured.text()}; always saying {judged.majority_class!r} is about {percent(usual)}"
    figures |= {"least": usual, "verdict": verdict.decision}
    if verdict.decision == "better":
        return Gate("threshold", "passed", said, None, figures)
    decision: GateDecision = "failed" if verdict.decision == "worse" else "not enough evidence"
    return Gate("threshold", decision, said, max(0.0, usual - value), figures)


def non_inferiority_gate(contest: Contest) -> Gate:
    """The paired difference of accuracy, against the margin."""
    found, margin = contest.changes, contest.policy.margin
    if found is None:
        return unopposed_gate("non_inferiority")
    verdict = replacement(found.difference, margin=margin)
    figures = {"accuracy_improvement": found.difference.as_json(), "margin": margin, "verdict": verdict}
    said = f"its accuracy differs by {found.difference.text()} on the same images; it may lose {margin:.3f}"
    if verdict == "may replace":
        return Gate("non_inferiority", "passed", said, None, figures)
    low = found.difference.low if found.difference.low is not None else -1.0
    if verdict == "may not replace":
        return Gate("non_inferiority", "failed", said, -margin - (found.difference.value or 0.0), figures)
    wanted = _images_wanted(found.difference, margin)
    more = f"; about {wanted:,} images would show it" if wanted else ""
    return Gate("non_inferiority", "not enough evidence", said + more, -margin - low, figures)


def _images_wanted(difference: Measure, margin: float) -> int | None:
    """How many images would narrow the interval enough, if the difference stayed; None where none would."""
    if difference.value is None or difference.low is None or margin + difference.value <= 0:
        return None
    return int(difference.n * ((difference.value - difference.low) / (margin + difference.value)) ** 2) + 1


def negative_flips_gate(contest: Contest) -> Gate:
    """Answers that were right and would be wrong: what users notice, whatever the accuracy does."""
    found, most = contest.changes, contest.policy.most_negative_flips
    if found is None:
        return unopposed_gate("negative_flips")
    value = found.broken.value or 0.0
    said = f"{percent(value)} of the images turn wrong that {contest.stable_id} has right; {percent(most)} may"
    return bounded_gate("negative_flips", said, beyond=value - most, figures={"turn_wrong": found.broken.as_json()})


def class_floors_gate(contest: Contest) -> Gate:
    """The share that is recognised of the worst class."""
    least = contest.policy.least_class_accuracy
    judged = contest.candidate.judged
    right = judged.predicted == judged.labels
    shares = {
        name: float(right[judged.labels == number].mean())
        for number, name in enumerate(judged.classes)
        if (judged.labels == number).any()
    }
    worst = min(shares, key=lambda name: shares[name])
    said = f"of {worst!r}, its worst class, it recognises {percent(shares[worst])}; {percent(least)} are asked for"
    return bounded_gate("class_floors", said, beyond=least - shares[worst], figures={"recognised": shares})


def nobody_loses_gate(contest: Contest) -> Gate:
    """No class and no group is answered worse, beyond chance; p-values account for all of them together."""
    section = contest.comparison
    if section is None:
        return unopposed_gate("classes_and_groups")
    losing, worst = [], 0.0
    for part, rows in section.figures["parts"].items():
        for name, test in rows["tests"].items():
            if test["decision"] == "worse":
                lost = -float(rows["measures"][name]["difference"]["value"] or 0.0)
                losing.append(f"{part} {name!r} ({percent(lost)} fewer right)")
                worst = max(worst, lost)
    parts = ", ".join(section.figures["parts"])
    said = f"no group of {parts} is answered worse beyond chance"
    if losing:
        said = f"answered worse: {', '.join(losing[:5])}{' …' if len(losing) > 5 else ''}"
    return bounded_gate("classes_and_groups", said, beyond=worst, figures={"losing": losing})


def calibration_gate(contest: Contest) -> Gate:
    """Whether its probabilities can be believed."""
    judged, most = contest.candidate.judged, contest.policy.most_calibration_error
    seed = derived_seed(contest.policy.seed, "calibration")
    found = expected_calibration_error(judged.labels, judged.probabilities, groups=judged.groups, seed=seed)
    value, limit = found.error.value, found.limit_if_calibrated
    if value is None or limit is None:
        return not_measured_gate("calibration", "there are no images to measure calibration on")
    bound = max(most, limit)
    said = f"its calibration error is {found.error.text()}, at most {bound:.3f} may be ({found.verdict})"
    return bounded_gate("calibration", said, beyond=value - bound, figures={"calibration": found.as_json()})
