"""A contact sheet: a row of thumbnails for every class, to see in a minute what a data set holds."""

from collections import defaultdict
from collections.abc import Iterator

import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.natural_order import in_natural_order
from vitrail.data.inspection.deep_pictures import tone_of
from vitrail.data.inspection.findings import counted
from vitrail.data.reading import read_image
from vitrail.data.tone import Tone

MOST_CLASSES = 30
_GAP = 4
_TEXT_SIZE = 14
_LABEL_WIDTH = 160

Place = tuple[str, int]


def contact_sheet(table: pa.Table, *, per_class: int = 8, thumbnail_pixels: int = 96) -> Image.Image:
    """Draw up to `per_class` pictures of each class, taken at equal distances from the class's rows.

    The same table gives the same sheet. Unreadable pictures are passed over; beyond `MOST_CLASSES` classes, the number
    of those left out is written below.

    Args:
        table: an image table, with or without the columns of the inspection.
        per_class: pictures in a row.
        thumbnail_pixels: side of the square that each picture is fitted into.

    Returns:
        RGB picture on white: the class's name and count, then its thumbnails.
    """
    places, tone = _places_by_class(table), tone_of(table) if "depth" in table.column_names else Tone()
    shown = in_natural_order(places)[:MOST_CLASSES]
    left_out = len(places) - len(shown)
    step = thumbnail_pixels + _GAP
    height = len(shown) * step + _GAP + (2 * _TEXT_SIZE if left_out else 0)
    sheet = Image.new("RGB", (_LABEL_WIDTH + per_class * step + _GAP, max(height, step)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=_TEXT_SIZE)
    for row, label in enumerate(shown):
        top = _GAP + row * step
        draw.text((_GAP, top), _fitting(label, font), fill="black", font=font)
        draw.text((_GAP, top + _TEXT_SIZE + _GAP), counted(len(places[label]), "image"), fill="dimgrey", font=font)
        for column, picture in enumerate(_thumbnails(places[label], per_class, thumbnail_pixels, tone)):
            left = _LABEL_WIDTH + column * step
            centred = (left + (thumbnail_pixels - picture.width) // 2, top + (thumbnail_pixels - picture.height) // 2)
            sheet.paste(picture, centred)
    if left_out:
        more = f"and {counted(left_out, 'more class', 'more classes')}"
        draw.text((_GAP, len(shown) * step + _GAP), more, fill="dimgrey", font=font)
    return sheet


def _places_by_class(table: pa.Table) -> dict[str, list[Place]]:
    places: dict[str, list[Place]] = defaultdict(list)
    for path, frame, label in zip(*(table[name].to_pylist() for name in ("path", "frame", "label")), strict=True):
        places[label].append((path, frame))
    return places


def _thumbnails(places: list[Place], count: int, size: int, tone: Tone) -> Iterator[Image.Image]:
    """Thumbnails of `count` pictures at equal distances; where one cannot be read, of the next that can."""
    used: set[int] = set()
    for number in range(min(count, len(places))):
        for index in range(number * len(places) // min(count, len(places)), len(places)):
            if index in used:
                continue
            used.add(index)
            try:
                picture = read_image(places[index][0], frame=places[index][1], tone=tone)
            except UnreadableImageError:
                continue
            yield _fitted(picture, size)
            break


def _fitted(picture: Image.Image, size: int) -> Image.Image:
    """Made smaller to fit, or larger by a whole factor so that the pixels of tiny pictures stay square."""
    factor = size // max(picture.size)
    if factor > 1:
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((size, size))
    return picture


def _fitting(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The label, shortened until it fits into its column."""
    kept = label
    while font.getlength(kept) > _LABEL_WIDTH - 2 * _GAP:
        kept = kept.removesuffix("…")[:-1] + "…"
    return kept
