"""What a fit leaves behind: the package and the report."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.versions import versions
from vitrail.data.columns import ImageHome
from vitrail.data.reading import read_image
from vitrail.data.tone import Tone
from vitrail.evaluation.card import model_card
from vitrail.evaluation.quality import Predictions
from vitrail.evaluation.report import HEADLINE_ORDER, RunReport, write_report
from vitrail.models.package import PackageContents, write_package
from vitrail.workflows.fit_data import fingerprint
from vitrail.workflows.fit_preparation import Prepared
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.judging import Judged

MOST_WRONG_SHOWN = 12


@dataclass(frozen=True)
class Fitted:
    """Everything that package and report are written from.

    Attributes:
        name: the data set's name.
        ready: model, images and findings; the model is the one that is kept.
        judged: what was learned and how good it is.
        decisions: sentences on what was chosen and why.
        trained: one line on how the head, or the whole model, was trained.
        training: the training section of the report; None when nothing but the probe was trained.
    """

    name: str
    ready: Prepared
    judged: Judged
    decisions: tuple[str, ...]
    trained: str
    training: Mapping[str, Any] | None = None


def pack(fitted: Fitted, folder: Path, settings: FitSettings) -> Path:
    """Write the package; nothing in it names a path or an image.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    judged = fitted.judged
    contents = PackageContents(
        classes=tuple(judged.classes),
        preprocessing=fitted.ready.frozen.preprocessing,
        card=model_card(
            title=fitted.name,
            classes=judged.classes,
            facts=model_facts(fitted),
            qualities=judged.quality,
            licence=fitted.ready.built.pretrained_cfg.get("license"),
        ),
        metrics={split: quality.as_json() for split, quality in judged.quality.items()},
        provenance={
            "created": time.strftime("%Y-%m-%d"),
            "weights": fitted.ready.built.weights.source,
            "weights_sha256": fitted.ready.built.weights_sha256,
            "trained": fitted.trained,
            "images": counts(fitted.ready.images.rows),
            "data_fingerprint": fingerprint(fitted.ready.images.rows),
            "seed": settings.seed,
            "versions": versions(),
        },
    )
    write_package(folder, fitted.ready.built, contents=contents)
    return folder


def report(fitted: Fitted, folder: Path, settings: FitSettings, *, command: str, timings: Mapping[str, float]) -> Path:
    """Write `report.html` and `report.json` and return the page's path.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    judged = fitted.judged
    package, home = shlex.quote(str(folder / "package")), ImageHome.of(fitted.ready.images.rows)
    headline = next(split for split in (*HEADLINE_ORDER, *judged.quality) if split in judged.quality)
    page = RunReport(
        title=fitted.name,
        created=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        seed=settings.seed,
        model=model_facts(fitted),
        data={"counts": counts(fitted.ready.images.rows), "fingerprint": fingerprint(fitted.ready.images.rows)},
        findings=[_told_by_words(asdict(finding), home) for finding in fitted.ready.findings],
        qualities=judged.quality,
        neighbours=judged.neighbours,
        chosen=fitted.decisions,
        timings=dict(timings),
        versions=versions(),
        next_commands=[f"vitrail predict {package} IMAGES", f"vitrail predict {package} FOLDER --csv > answers.csv"],
        most_wrong=_most_wrong(fitted, headline, home, pictures=settings.thumbnails),
        leak_free_accuracy=judged.leak_free.get(headline),
        training=fitted.training,
    )
    return write_report(page, folder, thumbnails=settings.thumbnails)


def model_facts(fitted: Fitted) -> dict[str, Any]:
    """The model in a few words and numbers, for card and report."""
    shown = fitted.ready.frozen.preprocessing
    parameters = sum(parameter.numel() for parameter in fitted.ready.built.model.parameters())
    return {
        "architecture": fitted.ready.built.architecture,
        "parameters": parameters,
        "weights": fitted.ready.built.weights.summary(),
        "weights_licence": fitted.ready.built.pretrained_cfg.get("license") or "not stated",
        "image_size": f"{shown.height} × {shown.width}",
        "normalisation": f"mean {_rounded(shown.mean)}, std {_rounded(shown.std)} ({shown.normalization})",
        **({"values": f"more than 8 bits are shown with {shown.tone.words()}"} if shown.tone.is_measured else {}),
        "trained": fitted.trained,
    }


def counts(rows: pa.Table) -> dict[str, dict[str, int]]:
    """Number of images by split and class."""
    grouped = rows.group_by(["split", "label"]).aggregate([([], "count_all")]).sort_by("label").to_pylist()
    splits = [split for split in ("train", "val", "test") if split in set(rows["split"].to_pylist())]
    return {split: {line["label"]: line["count_all"] for line in grouped if line["split"] == split} for split in splits}


def _rounded(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _told_by_words(finding: dict[str, Any], home: ImageHome) -> dict[str, Any]:
    """A finding in which images are named within their data set: where that lies is nobody's business."""
    words = {name: home.without(finding[name]) for name in ("title", "hint") if finding.get(name)}
    return {**finding, **words, "details": [home.without(detail) for detail in finding["details"]]}


def _most_wrong(fitted: Fitted, split: str, home: ImageHome, *, pictures: bool) -> list[dict[str, Any]]:
    predictions, tone = fitted.judged.predictions[split], fitted.ready.frozen.preprocessing.tone
    shown = []
    for index in fitted.judged.quality[split].most_wrong[:MOST_WRONG_SHOWN]:
        best = int(predictions.probabilities[index].argmax())
        shown.append(
            {
                "path": home.without(predictions.paths[index]),
                "label": predictions.classes[int(predictions.labels[index])],
                "predicted": predictions.classes[best],
                "probability": float(predictions.probabilities[index, best]),
                "thumbnail_source": _picture(predictions, index, tone) if pictures else None,
            }
        )
    return shown


def _picture(predictions: Predictions, index: int, tone: Tone) -> Any:
    frame = int(predictions.ids[index].partition(":")[2] or 0)
    try:
        return read_image(predictions.paths[index], frame=frame, tone=tone)
    except UnreadableImageError:  # it went away since it was judged: its line stays, without a picture
        return None
