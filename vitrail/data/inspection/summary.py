"""What is in a data set, in plain values."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vitrail.data.inspection.deep_pictures import tone_summary

WITHOUT_SPLIT = "none"
"""The name under which images without a split are counted."""


def summary_of(table: pa.Table) -> dict[str, Any]:
    """Counts, sizes and kinds of files, ready for JSON.

    Args:
        table: an image table with the columns of the inspection.

    Returns:
        `images`, `readable`, `total_bytes`; `classes` ({class: {split: count}}) and `splits` of the readable images;
        `groups` (number of groups); `width` and `height` ({min, median, max} in pixels); `sizes` (number of different
        ones), `modes` and `formats` ({name: count}, most frequent first); `tone` (the scale of
        images with more than 8 bits, or None); `unreadable` ([{path, fault}]).
    """
    rows = table.filter(pc.field("readable"))
    bad = table.filter(~pc.field("readable"))
    return {
        "images": table.num_rows,
        "readable": rows.num_rows,
        "total_bytes": pc.sum(table["size_bytes"]).as_py() or 0,
        "classes": _by_class(rows),
        "splits": dict(Counter(split or WITHOUT_SPLIT for split in rows["split"].to_pylist())),
        "groups": len(set(rows["group"].to_pylist()) - {None}),
        "width": _range(rows["width"]),
        "height": _range(rows["height"]),
        "sizes": len(set(zip(rows["width"].to_pylist(), rows["height"].to_pylist(), strict=True))),
        "modes": dict(Counter(rows["mode"].to_pylist()).most_common()),
        "formats": dict(Counter(rows["format"].to_pylist()).most_common()),
        "tone": tone_summary(table),
        "unreadable": bad.select(["path", "fault"]).to_pylist(),
    }


def _by_class(rows: pa.Table) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for label, split in zip(rows["label"].to_pylist(), rows["split"].to_pylist(), strict=True):
        counts[label][split or WITHOUT_SPLIT] += 1
    return {label: dict(counts[label]) for label in sorted(counts)}


def _range(column: pa.ChunkedArray) -> dict[str, int]:
    values = column.to_numpy()
    if not values.size:
        return {"min": 0, "median": 0, "max": 0}
    return {"min": int(values.min()), "median": int(np.median(values)), "max": int(values.max())}
