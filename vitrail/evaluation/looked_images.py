"""What was seen of images, as figures, as PNG files and as pictures on a page."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from vitrail.evaluation.section import Figures, Section, Sentence
from vitrail.features.attention.distance import patch_distances
from vitrail.features.attention.looking import LookedAt, Looker
from vitrail.features.attention.map import times_even
from vitrail.measures.intervals import as_percent
from vitrail.pages.heat import SCALE_WORDS, captioned, heat_legend, heat_picture, picture_uri, plain_picture
from vitrail.pages.reach_plot import reach_svg

NO_CAUSE = (
    "A map shows where a network looks or what moved its answer, not why; where it says no more than chance, it is no "
    "evidence of anything."
)


def figures_of(looked: LookedAt, looker: Looker) -> dict[str, Any]:
    """JSON values about one image."""
    attention = looked.attention
    return {
        "predicted": None if looked.predicted is None else looker.name(looked.predicted),
        "explained": None if looked.answer is None else looker.name(looked.answer),
        "probability": looked.probability,
        "attention": {
            "layer": attention.layer, "name": attention.name, "head": attention.head,
            "on_class_and_register_tokens": attention.beside, "on_top_1_percent_of_tokens": attention.outlying,
        },
        "faithfulness": {name: each.as_json() for name, each in looked.deletions.items()},
        "distances": [[_rounded(value) for value in layer] for layer in looked.distances.tolist()],
    }  # fmt: skip


def panels_of(looked: LookedAt, looker: Looker) -> list[tuple[str, Image.Image]]:
    """The picture and its maps, each with a caption."""
    attention, patch = looked.attention, looked.attention.patch
    answer = "as the network sees it"
    if looked.answer is not None:
        answer = f"{looker.name(looked.answer)}, {as_percent(looked.probability or 0)} %"
    head = "all heads" if attention.head is None else f"head {attention.head}"
    shown = [
        (answer, plain_picture(looked.picture)),
        (
            f"attention, layer {attention.layer}, {head}; {attention.outlying:.0%} on 1 % of the tokens",
            heat_picture(looked.picture, times_even(attention.patches), patch),
        ),
        (_with_verdict("rollout", looked), heat_picture(looked.picture, looked.rollout, patch)),
    ]
    if looked.relevance is not None:
        caption = _with_verdict("relevance", looked, of=f" for {looker.name(looked.answer or 0)}")
        shown.append((caption, heat_picture(looked.picture, looked.relevance, patch)))
    return shown


def png_of(looked: LookedAt, looker: Looker) -> bytes:
    """The picture and its maps side by side, with captions and the scale."""
    buffer = io.BytesIO()
    captioned(panels_of(looked, looker), under=[SCALE_WORDS]).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def page_pictures(looked: LookedAt, looker: Looker) -> list[dict[str, str]]:
    """The same as small pictures inside a page."""
    return [{"caption": caption, "uri": picture_uri(image)} for caption, image in panels_of(looked, looker)]


def images_section(
    images: Sequence[dict[str, Any]], pictures: Sequence[list[dict[str, str]]], *, sentences: Sequence[Sentence]
) -> Section:
    """Images and their maps.

    Args:
        images: by image its path and what `figures_of` says, without distances.
        pictures: of each, as `page_pictures` gives them; they stay out of the JSON.
    """

    def drawn(figures: Figures) -> dict[str, Any]:
        return {"pictures": pictures, "legend": picture_uri(heat_legend()), "scale": SCALE_WORDS, "remark": NO_CAUSE}

    return Section(
        "looks", 1, "Where it looks", {"images": list(images)}, sentences, "sections/looks.html", draw=drawn
    )  # fmt: skip


def reach_figures(
    distances: Float[np.ndarray, "L N"], images: int, *, grid: tuple[int, int], patch: tuple[int, int]
) -> dict[str, Any]:
    """Mean attention distance as JSON: in patches and, for square patches, in pixels, beside an even spread's."""
    even = float(patch_distances(grid).mean())
    values = [[_rounded(value) for value in layer] for layer in distances.tolist()]
    side = patch[0] if patch[0] == patch[1] else None
    return {"images": images, "grid": list(grid), "patch_pixels": side, "even": even, "distances": values}


def reach_section(figures: dict[str, Any]) -> Section:
    """How far every head looks, layer by layer; see `reach_figures`."""
    known = [[value for value in layer if value is not None] for layer in figures["distances"]]
    means = [sum(layer) / len(layer) if layer else None for layer in known]
    first, last = means[0], means[-1]
    side, even = figures["patch_pixels"], figures["even"]
    pixels = f", which is {even * side:.0f} pixels" if side else ""
    sentences = [
        Sentence(
            f"Each dot is a head: how far apart, in patches, what looks and what is looked at lie on average over "
            f"{figures['images']:,} image{'s' if figures['images'] != 1 else ''}. "
            f"A head that looked everywhere alike would have {even:.2f}{pixels}."
        )
    ]
    if first is not None and last is not None:
        sentences.append(Sentence(f"On average the first layer looks {first:.2f} patches far, the last {last:.2f}."))

    def drawn(shown: Figures) -> dict[str, Any]:
        return {"reach": reach_svg(shown["distances"], even=shown["even"])}

    return Section("reach", 1, "How far it looks", figures, sentences, "sections/reach.html", draw=drawn)


def _with_verdict(kind: str, looked: LookedAt, *, of: str = "") -> str:
    judged = looked.deletions.get(kind)
    return f"{kind}{of}" if judged is None else f"{kind}{of}: {judged.verdict}"


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
