"""A report as a real run would make it, from seeded numbers; `classes` and `paths` can be made nasty."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from vitrail.data.columns import ImageHome, rows
from vitrail.data.inspection.findings import Finding
from vitrail.data.split_images import SplitImages
from vitrail.evaluation.background import cautions_section, findings_section, model_section
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.judging import Judged, quality_section
from vitrail.evaluation.most_wrong import most_wrong_section
from vitrail.evaluation.quality import judge
from vitrail.evaluation.report import Report
from vitrail.evaluation.section import Section, Sentence
from vitrail.evaluation.summary import summary_section
from vitrail.measures.classification import accuracy
from vitrail.pages.thumbnails import thumbnail_uri

FACTS = {
    "name": "vit_tiny_patch16_224",
    "kind": "linear probe on frozen features",
    "weights": "152 of 152 tensors used, classifier replaced",
    "licence": "Apache-2.0",
    "image_size": [224, 224],
    "parameters": 5_524_802,
    "precision": "bf16",
}
DECISIONS = (
    "Features in bf16: 2.9 times as fast as fp32 on this processor, cosine to fp32 features 0.9998.",
    "Regularisation C = 0.1, the best of 7 in 5-fold cross-validation inside the training images.",
)


def realistic_answers(classes: Sequence[str], *, n: int, split: str = "val", skill: float = 3.0) -> JudgedImages:
    random = np.random.default_rng(7)
    labels = random.integers(0, len(classes), n)
    logits = random.normal(0, 1, (n, len(classes)))
    logits[np.arange(n), labels] += skill
    paths = [f"photos/{split}/{classes[label]}/{position:08d}_a0b1c2d3e4.jpg" for position, label in enumerate(labels)]
    ids = [f"{position:032x}" for position in range(n)]
    table = image_rows(ids, paths, [classes[label] for label in labels], split)
    return JudgedImages.joined(table, ids, 1.5 * logits, classes=classes, measured_on=split)


def image_rows(ids: list[str], paths: list[str], labels: list[str], split: str = "val", **others: Any) -> pa.Table:
    table = rows(path=paths, label=labels, split=[split] * len(ids), **others)
    return table.append_column("id", pa.array(ids, pa.string()))


def _picture(position: int) -> str:
    ramp = np.tile(np.linspace(0, 255, 320, dtype=np.uint8), (240, 1))
    bands = [Image.fromarray(np.roll(ramp, 40 * position * band, 1)) for band in (1, 2, 3)]
    return thumbnail_uri(Image.merge("RGB", bands))


def _most_wrong(judged: JudgedImages, worst: tuple[int, ...], *, thumbnails: bool) -> Section:
    section = most_wrong_section(judged, worst, ImageHome(()), tone=None)
    if not thumbnails:
        return section
    pictures = [_picture(rank) for rank in range(len(section.figures["images"]))]
    return dataclasses.replace(section, draw=lambda figures: {"pictures": pictures})


def realistic_findings(title: str = "hymenoptera") -> list[Finding]:
    return [
        Finding(
            "unreadable", "error", "1 of 398 files cannot be read as an image",
            (f"photos/{title}/train/ants/imageNotFound.gif: the file is empty (0 bytes)",),
            "delete it, or go on without it: --on-bad-image skip",
        ),
        Finding(
            "near-duplicate-across-splits", "warning", "2 validation images look almost the same as a training image",
            tuple(f"photos/{title}/val/{'0' * 70}{k}.jpg ~ photos/{title}/train/{k}.jpg" for k in range(2)),
            "keep both on one side",
        ),
        Finding("odd-file", "note", "1 file is a GIF, all others are JPEG", ()),
    ]  # fmt: skip


def realistic_report(
    classes: Sequence[str] = ("ants", "bees"),
    *,
    n: int = 153,
    title: str = "hymenoptera",
    skill: float = 3.0,
    thumbnails: bool = True,
) -> Report:
    answers = realistic_answers(classes, n=n, skill=skill)
    quality, nearest = judge(answers, seed=0), realistic_answers(classes, n=n, skill=0.8 * skill).predicted
    judged = Judged(
        list(classes), {"val": answers}, {"val": quality}, {"val": accuracy(answers.labels, nearest)},
        {"val": accuracy(answers.labels[:-2], answers.predicted[:-2])},
    )  # fmt: skip
    names = [classes[label] for label in answers.labels]
    trained = image_rows([f"t{k}" for k in range(2 * n)], ["x"] * 2 * n, names * 2, "train")
    images = SplitImages(pa.concat_tables([trained, answers.rows]), list(classes), 0)
    sections = {"quality": quality_section(judged)}
    commands = ["vitrail evaluate runs/first/package DATA --with robustness,fairness"]
    return Report(
        title=title,
        created="21 November 2026, 10:42",
        command=f"vitrail fit photos/{title} --model local-dir:vit_tiny --out runs/first --seed 0",
        sections=(
            summary_section(sections, {"robustness": "", "fairness": ""}, classes, commands=commands),
            sections["quality"],
            _most_wrong(answers, quality.most_wrong, thumbnails=thumbnails),
            model_section(FACTS, images, DECISIONS),
            findings_section(realistic_findings(title), ImageHome(())),
            cautions_section(),
        ),
        seed=0,
        timings={"check": 0.61, "features": 7.9, "probe": 0.42, "everything": 12.3},
        versions={"vitrail": "0.1.0", "python": "3.11.7", "torch": "2.15.0", "timm": "1.0.31"},
        next_commands=["vitrail predict runs/first/package PATH…", "vitrail evaluate runs/first/package photos/new"],
        window_of="the same data",
    )


def figures_of(report: Report, name: str) -> dict[str, Any]:
    return dict(next(section.figures for section in report.sections if section.name == name))


def with_figures(report: Report, name: str, sentences: Sequence[str] | None = None, **changed: Any) -> Report:
    """The report with other figures, or other sentences, in one of its sections."""

    def replaced(section: Section) -> Section:
        if section.name != name:
            return section
        told = section.sentences if sentences is None else [Sentence(text) for text in sentences]
        return dataclasses.replace(section, figures={**section.figures, **changed}, sentences=told)

    return dataclasses.replace(report, sections=tuple(map(replaced, report.sections)))
