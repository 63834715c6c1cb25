"""File properties that give the class away: what a model could learn instead of the picture."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import pyarrow as pa
import pyarrow.compute as pc

from vitrail.data.inspection.findings import Finding

LEAST_GAIN = 0.1
"""Least part of the way from chance to certainty that a property must go before it is reported."""

LEAST_DEVIATIONS = 4.0
"""Least number of standard deviations above chance."""


@dataclass(frozen=True)
class Prediction:
    """How well one property predicts the class by itself.

    Attributes:
        balanced_accuracy: mean over classes of the share that is predicted right, each image left out in turn.
        chance: balanced accuracy of guessing, one over the number of classes.
        deviations: distance from chance in standard deviations of guessing.
    """

    balanced_accuracy: float
    chance: float
    deviations: float

    @property
    def telling(self) -> bool:
        """Whether the property predicts clearly better than chance."""
        gain = (self.balanced_accuracy - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0
        return gain >= LEAST_GAIN and self.deviations >= LEAST_DEVIATIONS


def telltale_findings(table: pa.Table) -> Iterator[Finding]:
    """A finding for each of mode, format, depth, extension, size, camera and software that predicts the class.

    Args:
        table: an image table with the columns of the inspection.
    """
    rows = table.filter(pc.field("readable"))
    labels = rows["label"].to_pylist()
    told: list[list[str]] = []
    for name, values in _properties(rows).items():
        # JPEG and .jpg say the same: once is enough.
        if any(_same_division(values, known) for known in told):
            continue
        prediction = prediction_by(values, labels)
        if prediction.telling:
            told.append(values)
            yield Finding(
                "telltale-property",
                "warning",
                f"the {name} alone predicts the class: balanced accuracy {prediction.balanced_accuracy:.1%}, "
                f"chance {prediction.chance:.1%}",
                _value_lines(values, labels),
                "the classes probably come from different sources, and a model can learn the source instead of the "
                "picture: make the files alike, and judge on images from elsewhere",
            )


def prediction_by(values: Sequence[str], labels: Sequence[str]) -> Prediction:
    """Leave-one-out balanced accuracy of the rule: the class in which the image's value is most frequent.

    Left-out counting makes rare values worth nothing by themselves: a set in which every image has its own size is
    predicted at chance, not perfectly. Ties count as a fair guess.

    Args:
        values: the property of each image.
        labels: the class of each image.
    """
    sizes = Counter(labels)
    cells: dict[str, Counter[str]] = defaultdict(Counter)
    for value, label in zip(values, labels, strict=True):
        cells[value][label] += 1
    right: Counter[str] = Counter()
    for counts in cells.values():
        rates = {label: count / sizes[label] for label, count in counts.items()}
        order, ties = [*sorted(set(rates.values()), reverse=True), 0.0], Counter(rates.values())
        for label, count in counts.items():
            alone_on_top = rates[label] == order[0] and ties[order[0]] == 1
            rival = order[1] if alone_on_top else order[0]
            rivals = ties[rival] - (rates[label] == rival)
            own = (count - 1) / max(sizes[label] - 1, 1)
            right[label] += count * _credit(own, rival, rivals, len(sizes))  # type: ignore[assignment]
    chance = 1 / max(len(sizes), 1)
    accuracy = sum(right[label] / size for label, size in sizes.items()) * chance
    spread = math.sqrt(sum(chance * (1 - chance) / size for size in sizes.values())) * chance
    return Prediction(accuracy, chance, (accuracy - chance) / spread if spread else 0.0)


def _credit(own: float, rival: float, rivals: int, classes: int) -> float:
    """Probability of a right guess: certain, impossible, or shared among the classes that tie."""
    if own != rival:
        return float(own > rival)
    return 1 / (1 + rivals) if own else 1 / classes


def _properties(rows: pa.Table) -> dict[str, list[str]]:
    columns = {
        name: rows[name].to_pylist()
        for name in ("path", "width", "height", "mode", "format", "depth", "camera", "software")
    }
    return {
        "storage mode": columns["mode"],
        "file format": columns["format"],
        "depth of values": [f"more than 8 bits, {depth}" if depth else "8 bits" for depth in columns["depth"]],
        "file extension": [PurePath(path).suffix.lower() for path in columns["path"]],
        "image size": [f"{w} × {h}" for w, h in zip(columns["width"], columns["height"], strict=True)],
        "camera": columns["camera"],
        "software": columns["software"],
    }


def _same_division(values: list[str], known: list[str]) -> bool:
    return len(set(values)) == len(set(known)) == len(set(zip(values, known, strict=True)))


def _value_lines(values: list[str], labels: list[str], *, most: int = 20) -> tuple[str, ...]:
    """The most frequent values, each with the classes of its images."""
    lines = []
    by_value: dict[str, Counter[str]] = defaultdict(Counter)
    for value, label in zip(values, labels, strict=True):
        by_value[value][label] += 1
    frequent = sorted(by_value.items(), key=lambda item: (-item[1].total(), item[0]))
    for value, counts in frequent[:most]:
        classes = ", ".join(f"{label} {count:,}" for label, count in counts.most_common(5))
        lines.append(f"{value or '(none)'}: {classes}" + (", …" if len(counts) > 5 else ""))
    if len(frequent) > most:
        lines.append(f"(+{len(frequent) - most:,} rarer values)")
    return tuple(lines)
