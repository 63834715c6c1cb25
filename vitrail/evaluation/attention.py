"""What a model looks at: maps of some right and some wrong answers, and whether such maps say more than chance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field

from vitrail.basics.events import WorkAdvanced, WorkEnded, WorkStarted
from vitrail.basics.settings import Settings
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.looked_images import NO_CAUSE, figures_of, page_pictures, panels_of, reach_figures
from vitrail.evaluation.sampling import evenly_sampled, usual_number
from vitrail.evaluation.section import Figures, Section, Sentence
from vitrail.evaluation.subject import NotJudged, Subject
from vitrail.features.attention.faithfulness import deletions
from vitrail.features.attention.layers import NoTokenAttention
from vitrail.features.attention.looking import AT_ONCE, LookedAt, Looker
from vitrail.measures.deletion import CANNOT, Deletion, DeletionGap, deletion_gap
from vitrail.pages.heat import SCALE_WORDS, heat_legend, picture_uri
from vitrail.pages.reach_plot import reach_svg

WORK = "attention"
PARAMETERS, FEWEST, MOST = 260_000_000, 16, 64
"""A processor is given so many parameters: 47 images for a ViT-Ti, 16 for a ViT-S; about a minute or two."""

FEWEST_JUDGED = 5
"""Fewer images than these say nothing about maps in general."""

_KINDS = {
    "relevance_and_chance": ("relevance", "Relevance for the answer", "random maps"),
    "relevance_and_another_image": ("relevance", "Relevance for the answer", "the map of another image"),
    "rollout_and_chance": ("rollout", "Rollout", "random maps"),
}
"""By name of a figure: the map, what it is called, and what it is compared with."""


class AttentionSettings(Settings):
    """What is looked at, and on how many images."""

    attention_layer: int = -1
    """Whose attention is shown: 0 is the first layer that attends, -1 the last."""
    attention_head: int | None = 0
    """Which of its heads: 0 is the first; None: the mean of all."""
    attention_shown: int = Field(default=4, ge=0)
    """So many right and so many wrong answers are shown with their maps."""
    attention_images: int | None = Field(default=None, ge=2)
    """On how many images, taken evenly from every class, maps are judged; None: 640 on an accelerator, on a processor
    16 to 64, fewer the larger the model is."""
    attention_random_maps: int = Field(default=4, ge=1)
    """Random maps that each image's maps are compared with."""


def attention_section(subject: Subject, settings: AttentionSettings) -> Section:
    """Attention, rollout and relevance of some answers; faithfulness and reach over a sample.

    Raises:
        NotJudged: only a table of answers was given, or the network has no attention between all of its tokens.
        InputError: there is no such layer or head.
        UnreadableImageError: an image went away since it was judged.
    """
    predictor = subject.needed_predictor()
    try:
        looker = Looker(
            predictor, predictor.classes, layer=settings.attention_layer, head=settings.attention_head
        )  # fmt: skip
    except NoTokenAttention as error:
        raise NotJudged(error.message) from error
    usual = usual_number(predictor, parameters=PARAMETERS, least=FEWEST, most=MOST)
    sample = evenly_sampled(subject.judged, settings.attention_images or usual)
    judged = _judged(subject, looker, sample, settings)
    shown = _shown(subject.judged, settings.attention_shown)
    seen = [] if shown is None else list(_looks(subject, looker, shown))
    figures = {
        "measured_on": sample.measured_on,
        "n": len(sample),
        "of": len(subject.judged),
        "random_maps": settings.attention_random_maps,
        "judged_images": judged.count,
        "faithfulness": {name: gap.as_json() for name, gap in judged.gaps.items()},
        "reach": reach_figures(
            judged.distances, len(sample), grid=looker.reader.layers.grid, patch=looker.reader.layers.patch
        ),
        "images": [] if shown is None else _figures(shown, seen, looker),
    }
    return Section(
        "attention", 1, "What it looks at", figures, list(_sentences(judged, sample)), "sections/attention.html",
        packaged=("measured_on", "n", "judged_images", "faithfulness", "reach"), draw=_drawn(seen, looker),
    )  # fmt: skip


@dataclass(frozen=True)
class _Judged:
    """What a sample says of maps.

    Attributes:
        gaps: by name of a figure; empty where too few images can be judged.
        count: how many of the images can: those whose answer an empty picture does not get as surely.
        distances: mean distance of attention by layer and head.
    """

    gaps: dict[str, DeletionGap]
    count: int
    distances: Float[np.ndarray, "L N"]


def _judged(subject: Subject, looker: Looker, sample: JudgedImages, settings: AttentionSettings) -> _Judged:
    seen = list(_looks(subject, looker, sample))
    found = list(_deletions(subject, looker, seen, settings.attention_random_maps))
    kept = np.array([each["relevance"].verdict != CANNOT for each in found], dtype=bool)
    gaps = _gaps(found, kept, sample, seed=subject.seed) if kept.sum() >= FEWEST_JUDGED else {}
    distances = np.stack([each.distances for each in seen])
    known = ~np.isnan(distances)
    count = known.sum(axis=0)
    sums = np.where(known, distances, 0).sum(axis=0)
    means = np.divide(sums, count, out=np.full(count.shape, np.nan), where=count > 0)
    return _Judged(gaps, int(kept.sum()), means)


def _looks(subject: Subject, looker: Looker, judged: JudgedImages) -> Iterator[LookedAt]:
    for pixels in subject.pixel_batches(judged, batch_size=AT_ONCE):
        yield from looker.at(pixels)


def _deletions(
    subject: Subject, looker: Looker, seen: list[LookedAt], random_maps: int
) -> Iterator[dict[str, Deletion]]:
    """Deletion curves of each image's own maps, and of the relevance of an image half the sample away."""
    subject.emit(WorkStarted(WORK, len(seen)))
    try:
        for number, each in enumerate(seen):
            another = seen[(number + max(1, len(seen) // 2)) % len(seen)]
            maps = {"relevance": each.relevance, "rollout": each.rollout, "another": another.relevance}
            tensors = {name: torch.from_numpy(np.asarray(values)) for name, values in maps.items()}
            x = looker.as_input(each.picture[None])
            yield deletions(
                looker.reader, x, tensors, answer=int(each.answer or 0), random_maps=random_maps,
                seed=subject.seed + number,
            )  # fmt: skip
            subject.emit(WorkAdvanced(WORK))
    finally:
        subject.emit(WorkEnded(WORK))


def _gaps(
    found: list[dict[str, Deletion]], kept: np.ndarray, sample: JudgedImages, *, seed: int
) -> dict[str, DeletionGap]:
    groups = None if sample.groups is None else np.unique(sample.groups[kept], return_inverse=True)[1]
    rows = [each for each, is_kept in zip(found, kept, strict=True) if is_kept]
    random = np.array([np.mean(each["relevance"].random_areas) for each in rows])
    another = np.array([each["another"].area for each in rows])
    gaps = {}
    for name, (kind, _, _) in _KINDS.items():
        own = np.array([each[kind].area for each in rows])
        others = another if name.endswith("another_image") else random
        gaps[name] = deletion_gap(own, others, name="smaller area", groups=groups, seed=seed)
    return gaps


def _shown(judged: JudgedImages, most: int) -> JudgedImages | None:
    """Some wrong answers, the surest ones, and some right ones of all classes."""
    right = judged.predicted == judged.labels
    chosen = np.zeros(len(judged), dtype=bool)
    if most and right.any():
        ids = set(evenly_sampled(judged.where(right), most).ids)
        chosen |= np.array([each in ids for each in judged.ids]) & right
    said = judged.probabilities[np.arange(len(judged)), judged.predicted]
    surest = np.argsort(-np.where(right, -1.0, said), kind="stable")[:most]
    chosen[[place for place in surest if not right[place]]] = True
    return judged.where(chosen) if chosen.any() else None


def _figures(shown: JudgedImages, seen: list[LookedAt], looker: Looker) -> list[dict[str, Any]]:
    images = []
    for row, each in enumerate(seen):
        told = {name: value for name, value in figures_of(each, looker).items() if name != "distances"}
        images.append({"path": shown.ids[row][:12], "label": shown.classes[int(shown.labels[row])], **told})
    return images


def _sentences(judged: _Judged, sample: JudgedImages) -> Iterator[Sentence]:
    for name, gap in judged.gaps.items():
        _, called, others = _KINDS[name]
        text = f"{called} {'says more' if gap.verdict.startswith('says') else 'says no more'} than {others}"
        yield Sentence(f"{text}: {gap.gap.text()}, p = {gap.p_value:.2g}", gap.verdict)
    if not judged.gaps:
        yield Sentence(
            f"Whether maps say more than chance cannot be judged: of {len(sample)} images only {judged.count} have an "
            "answer that an empty picture does not get as surely",
            "cannot be judged",
        )
    yield Sentence(
        "Patches are taken away in the order of a map, and the probability of the answer is watched: the area under "
        "that curve is smaller, the more the map knows of what the answer stands on. The figures say by how much."
    )
    if judged.gaps and judged.count < len(sample):
        yield Sentence(
            f"{len(sample) - judged.count} of {len(sample)} images are left out: an empty picture gets their answer as "
            "surely, so taking patches away shows nothing."
        )


def _drawn(seen: list[LookedAt], looker: Looker) -> Any:
    def drawn(figures: Figures) -> dict[str, Any]:
        reach = figures["reach"]
        return {
            "pictures": [page_pictures(panels_of(each, looker)) for each in seen],
            "legend": picture_uri(heat_legend()),
            "scale": SCALE_WORDS,
            "remark": NO_CAUSE,
            "plotted": reach_svg(reach["distances"], even=reach["even"]),
        }

    return drawn
