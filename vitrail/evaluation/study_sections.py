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
