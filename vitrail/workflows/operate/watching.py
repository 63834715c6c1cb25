"""The first half of a pass: what do the live figures say, and is a proposal to be opened?"""

from collections.abc import Sequence
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.models.package import read_package
from vitrail.rollout.operating.expected_accuracy import expected_accuracy
from vitrail.rollout.operating.feedback_quality import FeedbackVerdict, feedback_verdict
from vitrail.rollout.operating.live_figures import LiveFigures, live_figures
from vitrail.rollout.operating.proposals import Proposal
from vitrail.rollout.operating.triggers import Declined, DeclinedByKey, Trigger, found_triggers, totals
from vitrail.rollout.version_records import Version
from vitrail.workflows.operate.operation import LOOP, Operation


def watch_once(operation: Operation) -> list[str]:
    """Look at the live figures of the stable version, and open a proposal for what is wrong with it.

    Returns:
        What was opened, and why nothing can be watched where that is so.

    Raises:
        SystemFault: the database or the version store cannot be reached.
    """
    try:
        stable = operation.versions.version(f"{operation.policy.name}@stable")
        live = read_figures(operation, stable)
    except InputError as error:
        return [f"nothing can be watched: {error.message}"]
    before = operation.proposals.proposals(stable.name)
    close_overtaken(operation, before, stable)
    declined = declined_before(before, stable)
    told, found = [], found_triggers(live, operation.policy.trigger, declined)
    for trigger in found:
        evidence = _evidence(operation, live, trigger, found)
        opened = operation.proposals.open(
            trigger, name=stable.name, version=stable.id, digest=stable.digest, evidence=evidence,
            again=(trigger.kind, trigger.about) in declined,
        )  # fmt: skip
        if opened is not None:
            told.append("\n".join(opened.words()))
    return told


def read_figures(operation: Operation, stable: Version) -> LiveFigures:
    """What is known of the stable version."""
    expected = expected_accuracy(read_package(operation.versions.folder(stable.id)))
    seconds = operation.policy.trigger.window_seconds
    return live_figures(operation.database, operation.clock, stable, window_seconds=seconds, expected=expected)


def declined_before(proposals: Sequence[Proposal], stable: Version) -> DeclinedByKey:
    """The latest that was declined, by what it was about, of the same package."""
    found = {}
    for each in proposals:
        line = each.line_of("declined")
        if line is not None and each.digest == stable.digest:
            named = each.evidence
            found[each.key] = Declined(line.at, named["amount"], named.get("seen", 0), named.get("unlike", 0))
    return found


def close_overtaken(operation: Operation, proposals: Sequence[Proposal], stable: Version) -> None:
    """What is about a version that is stable no more, and was not begun, is about nothing."""
    for each in proposals:
        if each.state in ("proposed", "approved") and each.digest != stable.digest:
            why = {"why": f"{stable.id} is stable by now"}
            operation.proposals.advance(each, "overtaken", by=LOOP, facts=why)


def _evidence(operation: Operation, live: LiveFigures, trigger: Trigger, found: Sequence[Trigger]) -> dict[str, Any]:
    seen, unlike = totals(live)
    verdict, material = _of_feedback(operation, live, found), operation.policy.material
    is_used = verdict.is_believed and bool(material.feedback_images)
    told = [verdict.sentence]
    if material.feedback_images and not is_used:
        told.append("It is proposed without feedback; whoever approves may say otherwise.")
    return {
        "sentence": trigger.sentence, "amount": trigger.amount, "figures": dict(trigger.figures), "seen": seen,
        "unlike": unlike, "feedback": verdict.as_json(), "feedback_used": is_used, "told": told,
    }  # fmt: skip


def _of_feedback(operation: Operation, live: LiveFigures, found: Sequence[Trigger]) -> FeedbackVerdict:
    """Of the truths since accuracy fell, where it did, else of all."""
    fallen = next((each.figures["since"] for each in found if each.kind == "accuracy"), live.since)
    recent = [each for each in live.truths if live.begins(each.window + 1) > fallen]
    changed = any(each.kind == "shift" for each in found) if live.streams else None
    return feedback_verdict(
        recent, expected=live.expected, changed=changed, least=operation.policy.trigger.least_truths
    )
