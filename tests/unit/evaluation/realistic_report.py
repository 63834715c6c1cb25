"""A report as a real run would make it, from seeded numbers; `classes` and `paths` can be made nasty."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image

from vitrail.evaluation.quality import Predictions, Quality, judge
from vitrail.evaluation.report import RunReport
from vitrail.measures.classification import accuracy


def realistic_predictions(classes: Sequence[str], *, n: int, split: str = "val", skill: float = 3.0) -> Predictions:
    random = np.random.default_rng(7)
    labels = random.integers(0, len(classes), n)
    logits = random.normal(0, 1, (n, len(classes)))
    logits[np.arange(n), labels] += skill
    logits *= 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    paths = [f"photos/{split}/{classes[label]}/{position:08d}_a0b1c2d3e4.jpg" for position, label in enumerate(labels)]
    ids = [f"{position:032x}" for position in range(n)]
    return Predictions(ids, paths, labels, probabilities, tuple(classes), split)


def _picture(position: int) -> Image.Image:
    ramp = np.tile(np.linspace(0, 255, 320, dtype=np.uint8), (240, 1))
    return Image.merge("RGB", [Image.fromarray(np.roll(ramp, 40 * position * band, 1)) for band in (1, 2, 3)])


def _most_wrong(predictions: Predictions, quality: Quality, *, most: int = 12) -> list[dict]:
    predicted = predictions.probabilities.argmax(axis=1)
    return [
        {
            "path": predictions.paths[position],
            "label": predictions.classes[predictions.labels[position]],
            "predicted": predictions.classes[predicted[position]],
            "probability": float(predictions.probabilities[position].max()),
            "thumbnail_source": _picture(rank),
        }
        for rank, position in enumerate(quality.most_wrong[:most])
    ]


def realistic_report(
    classes: Sequence[str] = ("ants", "bees"), *, n: int = 153, title: str = "hymenoptera", skill: float = 3.0
) -> RunReport:
    predictions = realistic_predictions(classes, n=n, skill=skill)
    quality = judge(predictions, seed=0)
    nearest = realistic_predictions(classes, n=n, skill=0.8 * skill).probabilities.argmax(axis=1)
    counts = Counter(classes[label] for label in predictions.labels)
    return RunReport(
        title=title,
        created="21 November 2026, 10:42",
        command=f"vitrail fit photos/{title} --model local-dir:vit_tiny --out runs/first --seed 0",
        seed=0,
        model={
            "name": "vit_tiny_patch16_224",
            "kind": "linear probe on frozen features",
            "weights": "152 of 152 tensors used, classifier replaced",
            "licence": "Apache-2.0",
            "image_size": [224, 224],
            "parameters": 5_524_802,
            "precision": "bf16",
        },
        data={
            "source": f"photos/{title}",
            "counts": {"train": {name: 2 * counts[name] for name in classes}, "val": dict(counts)},
            "fingerprint": "sha256:5e0f1f9d9f5b4b52b0e7c5b1ad0c7a9ec9e0a3f6b3f5a9b1c0d7e8f9a0b1c2d3",
        },
        findings=[
            {
                "code": "unreadable",
                "severity": "error",
                "title": "1 of 398 files cannot be read as an image",
                "details": [f"photos/{title}/train/ants/imageNotFound.gif: the file is empty (0 bytes)"],
                "hint": "delete it, or go on without it: --on-bad-image skip",
            },
            {
                "code": "near-duplicate-across-splits",
                "severity": "warning",
                "title": "2 validation images look almost the same as a training image",
                "details": [f"photos/{title}/val/{'0' * 70}{k}.jpg ~ photos/{title}/train/{k}.jpg" for k in range(2)],
                "hint": "keep both on one side",
            },
            {
                "code": "odd-file",
                "severity": "note",
                "title": "1 file is a GIF, all others are JPEG",
                "details": (),
                "hint": None,
            },
        ],
        qualities={"val": quality},
        neighbours={"val": accuracy(predictions.labels, nearest)},
        chosen=[
            "Features in bf16: 2.9 times as fast as fp32 on this processor, cosine to fp32 features 0.9998.",
            "Regularisation C = 0.1, the best of 7 in 5-fold cross-validation inside the training images.",
        ],
        timings={"check": 0.61, "features": 7.9, "probe": 0.42, "everything": 12.3},
        versions={"vitrail": "0.1.0", "python": "3.11.7", "torch": "2.15.0", "timm": "1.0.31"},
        next_commands=["vitrail predict runs/first/package PATH…", "vitrail evaluate runs/first/package photos/new"],
        most_wrong=_most_wrong(predictions, quality),
        leak_free_accuracy=accuracy(predictions.labels[:-2], predictions.probabilities.argmax(axis=1)[:-2]),
    )
