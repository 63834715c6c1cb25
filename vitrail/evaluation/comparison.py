"""Two models on the same images: which is better, how sure that is, who loses, and whether B may replace A."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field

from vitrail.basics.errors import InputError
from vitrail.basics.seeds import derived_seed
from vitrail.basics.settings import Settings
from vitrail.data.columns import ImageHome
from vitrail.data.inspection.findings import counted, listed
from vitrail.data.tone import Tone
from vitrail.evaluation.attribute_groups import attribute_groups, usual_attributes
from vitrail.evaluation.comparison_sentences import ComparedModels, losers, speed_sentence, verdict_sentences
from vitrail.evaluation.fairness_sentences import quoted
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.section import Figures, Section, Sentence
from vitrail.evaluation.subject import NotJudged
from vitrail.evaluation.thumbnails import picture_or_none
from vitrail.measures.classification import accuracy
from vitrail.measures.means import share
from vitrail.measures.multiple_tests import holm
from vitrail.measures.paired import compare_losses, decide
from vitrail.measures.replacement import MARGIN, Changes, changes
from vitrail.pages.plots import interval_bar

SHOWN = 12
"""Images that turn wrong and are shown."""

_LEAST_PROBABILITY = 1e-7  # a probability of 0 on the true class would cost infinitely much


def _listed(names: Any) -> Any:
    return [each.strip() for each in names.split(",") if each.strip()] if isinstance(names, str) else names


class ComparisonSettings(Settings):
    """How two models are compared."""

    margin: Annotated[float, Field(gt=0, lt=1)] = MARGIN
    """How much accuracy B may lose and still replace A; 0.02 is two points of a hundred."""
    attributes: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    """Columns whose groups are looked at, too; None: those that divide the images into 2 to 20 groups."""
    split: str | None = None
    """Which images: `train`, `val`, `test` or `all`; None: as for `evaluate`."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything that is drawn by lot."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""


@dataclass(frozen=True)
class Candidate:
    """One of both models.

    Attributes:
        name: what it is called: `A` or `B`, and where it is from.
        judged: what it said.
        images_per_second: while it answered, reading included; None where that was not measured.
        tone: on which scale its pictures of more than 8 bits are shown; None: no pictures are.
        trained_on: how many of the images it was trained on; None where that is not known.
    """

    name: str
    judged: JudgedImages
    images_per_second: float | None = None
    tone: Tone | None = None
    trained_on: int | None = None


def common_classes(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """Classes that both models know.

    Raises:
        InputError: there is none.
    """
    common = sorted(set(a) & set(b))
    if not common:
        raise InputError(
            f"A and B know no class in common: A knows {listed(a)}, B {listed(b)}",
            hint="models are compared on classes that both know; classes are joined by name",
        )
    return common


@dataclass(frozen=True)
class Common:
    """Images that both models answered about and whose class both know; position i is the same image everywhere.

    Attributes:
        judged: what A said.
        before, after: whether A is right, and B.
        losses_before, losses_after: log losses of both.
        said, sure: what B said, and the probability it gave that.
        told: sentences on what was left out.
    """

    judged: JudgedImages
    before: Bool[np.ndarray, "N"]
    after: Bool[np.ndarray, "N"]
    losses_before: Float[np.ndarray, "N"]
    losses_after: Float[np.ndarray, "N"]
    said: tuple[str, ...]
    sure: Float[np.ndarray, "N"]
    told: tuple[str, ...]

    def wrong_answer(self, row: int, home: ImageHome) -> dict[str, Any]:
        """What B says of an image, and what it is."""
        judged = self.judged
        return {
            "path": home.without(judged.paths[row]),
            "label": judged.classes[judged.labels[row]],
            "predicted": self.said[row],
            "probability": float(self.sure[row]),
        }


def common_images(a: JudgedImages, b: JudgedImages) -> Common:
    """Joined by id, classes by name. Labels are those of A's table.

    Raises:
        InputError: no image is common to both, or an image has another label in either.
    """
    place_b = {identity: row for row, identity in reversed(list(enumerate(b.ids)))}
    known_b, first = set(b.classes), dict[str, int]()
    for row, identity in enumerate(a.ids):
        if identity in place_b and a.classes[a.labels[row]] in known_b:
            first.setdefault(identity, row)
    if not first:
        raise InputError(
            f"none of the {len(a):,} images of A is one of the {len(b):,} of B with a class that both know",
            hint="both must have answered about the same images; images are joined by id, classes by name",
        )
    rows = np.array(list(first.values()))
    others = np.array([place_b[identity] for identity in first])
    mask = np.zeros(len(a), dtype=bool)
    mask[rows] = True
    labels = [a.classes[k] for k in a.labels[rows]]
    _refuse_other_labels(labels, [b.classes[k] for k in b.labels[others]], list(first))
    before, losses_before = _right_and_loss(a, rows, labels)
    after, losses_after = _right_and_loss(b, others, labels)
    answers = b.predicted[others]
    said, sure = tuple(b.classes[each] for each in answers), b.probabilities[others, answers].astype(np.float64)
    told = _told(a, b, len(rows))
    return Common(a.where(mask), before, after, losses_before, losses_after, said, sure, told)


def _refuse_other_labels(mine: Sequence[str], theirs: Sequence[str], ids: Sequence[str]) -> None:
    other = [place for place, pair in enumerate(zip(mine, theirs, strict=True)) if pair[0] != pair[1]]
    if other:
        first = other[0]
        raise InputError(
            f"{len(other):,} images have another label in either table, the first is {ids[first]!r}: "
            f"{mine[first]!r} and {theirs[first]!r}",
            hint="models are compared on the same truth: mend the labels, or compare packages on one data set",
        )


def _right_and_loss(
    judged: JudgedImages, rows: Int[np.ndarray, "M"], labels: Sequence[str]
) -> tuple[Bool[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    number = {name: k for k, name in enumerate(judged.classes)}
    true = np.array([number[label] for label in labels])
    probabilities = judged.probabilities[rows, true]
    return judged.predicted[rows] == true, -np.log(np.maximum(probabilities, _LEAST_PROBABILITY))


def _told(a: JudgedImages, b: JudgedImages, count: int) -> tuple[str, ...]:
    told = []
    for name, mine, other in (("A", a, b), ("B", b, a)):
        only = [each for each in mine.classes if each not in other.classes]
        if only:
            shown = ", ".join(map(quoted, only[:5])) + (" …" if len(only) > 5 else "")
            told.append(
                f"Only {name} knows {shown}: images of these classes are in no figure, answers of them are wrong."
            )
    if count < max(len(a), len(b)):
        told.append(f"Compared on {counted(count, 'image')} that both answered; A answered {len(a):,}, B {len(b):,}.")
    return tuple(told)


def comparison_section(a: Candidate, b: Candidate, settings: ComparisonSettings) -> Section:
    """What changes where B takes the place of A.

    Raises:
        InputError: see `common_images`; an attribute is not in the table.
    """
    common = common_images(a.judged, b.judged)
    groups, seed = common.judged.groups, derived_seed(settings.seed, "compare")
    whole = changes(common.before, common.after, groups=groups, seed=seed)
    losses = compare_losses(common.losses_before, common.losses_after, groups=groups, seed=seed)
    verdict = ComparedModels(whole, losses, settings.margin)
    parts, told = _parts(common, settings)
    by_part = _by_part(common, parts, seed)
    turned, home = _turned_wrong(common), ImageHome.of(common.judged.rows)
    figures: dict[str, Any] = {
        "accuracy": {
            name: accuracy(np.ones(len(right), int), right.astype(int), groups=groups, seed=seed).as_json()
            for name, right in ((a.name, common.before), (b.name, common.after))
        },
        **verdict.as_json(),
        "images_per_second": {"A": a.images_per_second, "B": b.images_per_second},
        "parts": by_part,
        "turned_wrong": [common.wrong_answer(row, home) for row in turned],
    }
    right = float(common.before.mean()), float(common.after.mean())
    sentences = [
        *verdict_sentences(verdict, *right),
        *_flattered(a, b),
        speed_sentence(a.images_per_second, b.images_per_second),
    ]
    for part, rows in by_part.items():
        sentences += losers(part, rows)
    sentences += [Sentence(each) for each in (*common.told, *told)]

    def drawn(_: Figures) -> dict[str, Any]:
        tone, judged = a.tone or b.tone, common.judged
        shown = ((judged.paths[row], judged.ids[row]) for row in turned)
        pictures = [None if tone is None else picture_or_none(*each, tone=tone) for each in shown]
        return {"pictures": pictures, "bar": interval_bar}

    return Section(
        "comparison", 1, "B instead of A", figures, sentences, template="sections/comparison.html", draw=drawn
    )


def _turned_wrong(common: Common) -> list[int]:
    """Images that only A has right; those first that B is surest about."""
    rows = np.flatnonzero(common.before & ~common.after)
    return rows[np.argsort(-common.sure[rows], kind="stable")][:SHOWN].tolist()


def _flattered(a: Candidate, b: Candidate) -> list[Sentence]:
    """Who was trained on images that decide here: whoever knew the answers is not better for it."""
    if not (a.trained_on or b.trained_on):
        return []
    told = [
        f"{name} was trained on {'an unknown number' if each.trained_on is None else f'{each.trained_on:,}'} of its "
        f"{counted(len(each.judged), 'image')} here"
        for name, each in (("A", a), ("B", b))
    ]
    return [Sentence(f"{', '.join(told)}: figures of such images flatter a model, and say little of new ones.")]


def _parts(
    common: Common, settings: ComparisonSettings
) -> tuple[dict[str, tuple[Sequence[str], np.ndarray]], list[str]]:
    """By what images are divided: names of the parts, and the number of each image's."""
    judged, told = common.judged, list[str]()
    parts: dict[str, tuple[Sequence[str], np.ndarray]] = {"class": (judged.classes, judged.labels)}
    for name in usual_attributes(judged) if settings.attributes is None else settings.attributes:
        try:
            groups = attribute_groups(judged, name, least_group=20)
        except NotJudged as reason:
            told.append(f"{reason}.")
            continue
        parts[groups.name] = (groups.names, groups.numbers)
    return parts, told


def _by_part(
    common: Common, parts: Mapping[str, tuple[Sequence[str], np.ndarray]], seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """What changes in every class and group; p-values account for all of them together."""
    found: list[tuple[str, str, Changes, dict[str, Any]]] = []
    for part, (names, numbers) in parts.items():
        for number, name in enumerate(names):
            own = numbers == number
            if not own.any():
                continue
            groups = (
                None if common.judged.groups is None else np.unique(common.judged.groups[own], return_inverse=True)[1]
            )
            changed = changes(common.before[own], common.after[own], groups=groups, seed=seed)
            both = {"A": share(common.before[own], name="A", groups=groups),
                    "B": share(common.after[own], name="B", groups=groups),
                    "difference": changed.difference, "turn_wrong": changed.broken}  # fmt: skip
            found.append((part, name, changed, {key: each.as_json() for key, each in both.items()}))
    adjusted = holm([changed.p_value for _, _, changed, _ in found])
    rows: dict[str, dict[str, dict[str, Any]]] = {part: {"measures": {}, "tests": {}} for part in parts}
    for (part, name, changed, measures), p in zip(found, adjusted, strict=True):
        rows[part]["measures"][name] = measures
        rows[part]["tests"][name] = {"decision": decide(p, changed.difference.value or 0.0), "p_value": p}
    return rows
