"""What a fit leaves behind: the package and the report."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.versions import versions
from vitrail.data.columns import ImageHome
from vitrail.data.split_images import fingerprint
from vitrail.evaluation.card import model_card
from vitrail.evaluation.judging import Judged
from vitrail.evaluation.most_wrong import most_wrong_images
from vitrail.evaluation.report import RunReport, headline_split, write_report
from vitrail.models.package import PackageContents, write_package
from vitrail.models.parts.seen import Seen
from vitrail.workflows.fit.preparation import Prepared
from vitrail.workflows.fit.settings import FitSettings


@dataclass(frozen=True)
class Fitted:
    """Everything that package and report are written from.

    Attributes:
        name: the data set's name.
        prepared: model, images and findings; the model is the one that is kept.
        judged: what was learned and how good it is.
        decisions: sentences on what was chosen and why.
        trained: one line on how the head, or the whole model, was trained.
        training: the training section of the report; None when nothing but the probe was trained.
    """

    name: str
    prepared: Prepared
    judged: Judged
    decisions: tuple[str, ...]
    trained: str
    training: Mapping[str, Any] | None = None


def pack(fitted: Fitted, folder: Path, *, seed: int) -> Path:
    """Write the package; nothing in it names a path or an image.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    judged = fitted.judged
    contents = PackageContents(
        classes=tuple(judged.classes),
        preprocessing=fitted.prepared.model.preprocessing,
        card=model_card(
            title=fitted.name,
            classes=judged.classes,
            facts=model_facts(fitted),
            qualities=judged.quality,
            licence=fitted.prepared.model.pretrained_cfg.get("license"),
        ),
        metrics={split: quality.as_json() for split, quality in judged.quality.items()},
        provenance={
            "created": time.strftime("%Y-%m-%d"),
            "weights": fitted.prepared.model.weights.source,
            "weights_sha256": fitted.prepared.model.weights_sha256,
            "trained": fitted.trained,
            "images": fitted.prepared.images.counts(),
            "data_fingerprint": fingerprint(fitted.prepared.images.rows),
            "seed": seed,
            "versions": versions(),
        },
    )
    images = fitted.prepared.images
    seen = Seen.of(images.ids("train"), seed=seed, fingerprint=fingerprint(images.rows))
    write_package(folder, fitted.prepared.model, contents=contents, parts=[seen])
    return folder


def report(fitted: Fitted, folder: Path, settings: FitSettings, *, command: str, timings: Mapping[str, float]) -> Path:
    """Write `report.html` and `report.json` and return the page's path.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    judged = fitted.judged
    package, home = shlex.quote(str(folder / "package")), ImageHome.of(fitted.prepared.images.rows)
    headline = headline_split(judged.quality)
    tone = fitted.prepared.model.preprocessing.tone if settings.thumbnails else None
    page = RunReport(
        title=fitted.name,
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        seed=settings.seed,
        model=model_facts(fitted),
        data={"counts": fitted.prepared.images.counts(), "fingerprint": fingerprint(fitted.prepared.images.rows)},
        findings=[_told_by_words(asdict(finding), home) for finding in fitted.prepared.findings],
        qualities=judged.quality,
        neighbours=judged.neighbours,
        chosen=fitted.decisions,
        timings=dict(timings),
        versions=versions(),
        next_commands=[f"vitrail predict {package} IMAGES", f"vitrail predict {package} FOLDER --csv > answers.csv"],
        most_wrong=most_wrong_images(judged, headline, home, tone=tone),
        leak_free_accuracy=judged.leak_free.get(headline),
        training=fitted.training,
    )
    return write_report(page, folder, thumbnails=settings.thumbnails)


def model_facts(fitted: Fitted) -> dict[str, Any]:
    """The model in a few words and numbers, for card and report."""
    shown = fitted.prepared.model.preprocessing
    return {
        "architecture": fitted.prepared.model.architecture,
        "parameters": fitted.prepared.model.parameters,
        "weights": fitted.prepared.model.weights.summary(),
        "weights_licence": fitted.prepared.model.pretrained_cfg.get("license") or "not stated",
        "image_size": f"{shown.height} × {shown.width}",
        "normalisation": f"mean {_rounded(shown.mean)}, std {_rounded(shown.std)} ({shown.normalization})",
        **({"values": f"more than 8 bits are shown with {shown.tone.words()}"} if shown.tone.is_measured else {}),
        "trained": fitted.trained,
    }


def _rounded(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _told_by_words(finding: dict[str, Any], home: ImageHome) -> dict[str, Any]:
    """A finding in which images are named within their data set: where that lies is nobody's business."""
    words = {name: home.without(finding[name]) for name in ("title", "hint") if finding.get(name)}
    return {**finding, **words, "details": [home.without(detail) for detail in finding["details"]]}
