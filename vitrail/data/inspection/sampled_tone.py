"""The scale of a data set that is not inspected: measured on a sample of its images."""

import contextlib
from pathlib import Path

import numpy as np

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.files import regular_file
from vitrail.data.columns import places_of, rows
from vitrail.data.image_list import ImageList
from vitrail.data.inspection.examine import examine_place
from vitrail.data.inspection.file_columns import FactColumns
from vitrail.data.inspection.value_range import measured_tone
from vitrail.data.opened_pictures import header_of
from vitrail.data.tone import Tone
from vitrail.data.workers import map_in_workers

MOST_SAMPLED = 256
"""Images at equal distances whose headers are looked at; those of more than 8 bits are read."""


def sampled_tone(images: ImageList, *, workers: int) -> Tone:
    """One scale for the images of more than 8 bits; the same for the same list.

    Raises:
        SystemFault: a worker process died.
    """
    numbers = np.unique(np.linspace(0, len(images) - 1, MOST_SAMPLED).round().astype(np.int64))
    deep = [place for place in places_of(images.rows(numbers)) if _is_deep(place[0])]
    if not deep:
        return Tone()
    columns = FactColumns()
    for facts in map_in_workers(examine_place, deep, workers=workers):
        columns.add(facts)
    paths = [path for path, _ in deep]
    table = columns.beside(rows(path=paths, label=[""] * len(deep)))
    return measured_tone(table.filter(table["readable"]))


def _is_deep(path: str | Path) -> bool:
    with contextlib.suppress(OSError, ValueError, UnreadableImageError), regular_file(path) as file:
        return header_of(file, name=str(path)).bits > 8
    return False
