"""What stands around a report's figures: the model and its images, what the check found, what to be careful about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vitrail.basics.natural_order import in_natural_order
from vitrail.data.columns import ImageHome
from vitrail.data.inspection.findings import Finding
from vitrail.data.split_images import SplitImages, fingerprint
from vitrail.evaluation.section import Figures, Section, Sentence
from vitrail.pages.guidance import cautions_for


def model_section(facts: Mapping[str, Any], images: SplitImages, decisions: Sequence[str]) -> Section:
    """What was trained on what.

    Args:
        facts: name, weights, licence, image size, …; shown in this order, field names as words.
        images: all images of the run.
        decisions: sentences on what was decided and why.
    """
    figures = {"model": dict(facts), "images": images.counts(), "fingerprint": fingerprint(images.rows)}
    return Section(
        "model", 1, "What was trained on what", figures, list(map(Sentence, decisions)), "sections/model.html",
        draw=_class_names,
    )  # fmt: skip


def _class_names(figures: Figures) -> dict[str, Any]:
    names = {name for counts in figures["images"].values() for name in counts}
    return {"names": in_natural_order(names)}


def findings_section(findings: Sequence[Finding], home: ImageHome) -> Section:
    """What the check found. Images are named within their data set: where that lies is nobody's business."""
    told = [_told_from(home, asdict(finding)) for finding in findings]
    return Section("findings", 1, "What the check found", {"findings": told}, template="sections/findings.html")


def _told_from(home: ImageHome, finding: dict[str, Any]) -> dict[str, Any]:
    words = {name: home.without(finding[name]) for name in ("title", "hint") if finding.get(name)}
    return {**finding, **words, "details": [home.without(detail) for detail in finding["details"]]}


def cautions_section(classes: Sequence[str] = (), attributes: Iterable[str] = ()) -> Section:
    """What to be careful about with a model of these classes; see `cautions_for`."""
    told = [each.as_json() for each in cautions_for(classes, attributes)]
    return Section("cautions", 1, "What to be careful about", {"cautions": told}, template="sections/cautions.html")
