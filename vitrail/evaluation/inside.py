"""What a ViT has learned before it sees an image: its patch filters, and where its positions lie. Two sections."""

import base64
import io
from typing import Any

from PIL import Image
from torch import nn

from vitrail.basics.errors import InputError
from vitrail.evaluation.section import Figures, Section, Sentence
from vitrail.features.attention.patch_filters import filter_components
from vitrail.features.attention.position_similarity import position_similarity
from vitrail.pages.heat import filter_sheet, similarity_sheet


def inside_sections(model: nn.Module, *, required: bool) -> tuple[list[Section], dict[str, bytes]]:
    """The sections, and their pictures as PNG files by name; what a network lacks is told instead.

    Args:
        model: the network.
        required: whether there must be something to show.

    Raises:
        InputError: it must, and it has neither patch filters nor positions.
    """
    sections, files, missing = [], {}, []
    for name, title, look in (
        ("filters", "What it looks for", _filters),
        ("positions", "What it knows of places", _positions),
    ):
        try:
            figures, sentences, sheet = look(model)
        except InputError as error:
            missing.append(error)
            sections.append(
                Section(name, 1, title, {"missing": error.message}, [Sentence(f"Not shown: {error.message}.")])
            )
            continue
        files[f"{name}.png"] = _png(sheet)
        sections.append(_sheet_section(name, title, figures, sentences, sheet))
    if required and len(missing) == 2:
        raise InputError(f"there is nothing to show without images: {missing[0].message}", hint=missing[0].hint)
    return sections, files


def _filters(model: nn.Module) -> tuple[dict[str, Any], list[Sentence], Image.Image]:
    found = filter_components(model)
    explained = found.explained.tolist()
    sentences = [
        Sentence(
            f"The first {len(explained)} principal components of the {found.filters} filters that make a token of each "
            f"patch, most important first; together they explain {sum(explained):.0%} of how the filters differ. Grey "
            "is 0, and each component has a scale of its own. Smooth waves and colours are what a well-trained "
            "network has here; noise says that it saw too little."
        )
    ]
    figures = {"filters": found.filters, "explained_variance": [round(value, 5) for value in explained]}
    return figures, sentences, filter_sheet(found.components.numpy())


def _positions(model: nn.Module) -> tuple[dict[str, Any], list[Sentence], Image.Image]:
    found = position_similarity(model)
    rows, columns = found.shape[:2]
    sentences = [
        Sentence(
            f"One small map for each of the {rows} × {columns} patches, at its place: how similar its position "
            "embedding is to that of every patch. Warm is alike (red is 1), white is 0, blue is opposite (−1). A "
            "network that has learned where patches lie shows warmth at the map's own place, row and column."
        )
    ]
    figures = {"grid": [rows, columns], "similarity_of_neighbours": _neighbours(found.numpy())}
    return figures, sentences, similarity_sheet(found.numpy())


def _neighbours(similarity: Any) -> float | None:
    """Mean similarity of patches side by side in a row."""
    rows, columns = similarity.shape[:2]
    pairs = [float(similarity[r, c, r, c + 1]) for r in range(rows) for c in range(columns - 1)]
    known = [each for each in pairs if each == each]
    return round(sum(known) / len(known), 4) if known else None


def _sheet_section(
    name: str, title: str, figures: dict[str, Any], sentences: list[Sentence], sheet: Image.Image
) -> Section:
    def drawn(_: Figures) -> dict[str, Any]:
        return {"sheet": "data:image/png;base64," + base64.b64encode(_png(sheet)).decode("ascii")}

    return Section(name, 1, title, figures, sentences, "sections/sheet.html", draw=drawn)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
