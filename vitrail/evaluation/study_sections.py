"""The sections of a study's report: what came out by data set, and how it was measured."""

from collections.abc import Mapping
from typing import Any

from vitrail.evaluation.section import Section, Sentence

HOW = (
    "starter: the weights that are studied. mimetic: the same network with random weights like those of a trained one, "
    "without any training. scratch: the same network as timm draws it. reference: other weights, where there are any.",
    "The last weights are judged; no image that judges chose anything.",
    "A gain is the mean over the seeds; its interval is a paired bootstrap over images, or groups, each with what it "
    "adds to that mean (to the AUC by its pseudo-value). Where one class is most of the images, look at the AUC.",
)

HOW_STAGED = (
    "probe: a linear classifier on frozen features. staged: from that probe, in the stages below. one-shot: from a new "
    "classifier, everything from the first step, with as many walks through the same images and the same rates.",
    "Each keeps its best epoch by validation; where validation images are judged, their answers are cross-fitted.",
    "The gain is staged minus one-shot, the mean over the seeds; its interval is a paired bootstrap over images, or "
    "groups, each with what it adds to that mean.",
)


def starter_study_sections(data: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Section]:
    """What the starter weights are worth on every data set.

    Args:
        data: what came out, by data set.
        settings: of the study, as JSON values.
    """
    return [
        Section(
            "starter", 1, "What the starter weights are worth", {"data": data}, template="sections/starter_study.html"
        ),
        Section("settings", 1, "How it was measured", settings, list(map(Sentence, HOW))),
    ]


def staged_study_sections(
    data: Mapping[str, Any], settings: Mapping[str, Any], *, claim: tuple[float, float]
) -> list[Section]:
    """Whether stages are better than training everything at once, on every data set.

    Args:
        data: what came out, by data set.
        settings: of the fits, as JSON values.
        claim: between which gains in accuracy the literature puts it.
    """
    promised = f"{100 * claim[0]:.0f} to {100 * claim[1]:.0f} points"
    told = [
        Sentence(f"{name}: the claim of {promised}: {found['verdict']}", found["gain"]["decision"])
        for name, found in data.items()
    ]
    return [
        Section("staged", 1, "What stages gain", {"data": data}, told, "sections/staged_study.html"),
        Section("settings", 1, "How it was measured", settings, list(map(Sentence, HOW_STAGED))),
    ]
