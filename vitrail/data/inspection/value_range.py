"""Values beyond 8 bits: the range of each picture, and the one scale on which all pictures of a data set are shown."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vitrail.data.tone import Tone

OUTLIERS = 0.002
"""Share of a picture's pixels that its range leaves out on either side, one at least: a dead pixel, a marker."""

_ODD_IMAGES = 0.01
"""Share of the images whose range does not count on either side, from `_MANY` on one at least."""
_MANY = 20

_OF_8_BITS = Tone()

_MOST_VALUES = 1_000_000
"""Values of a picture that are sorted; of more, every second, third, ... is taken."""

# Where the scale would begin or end anyway: bits in common use, and floating point that is a share or has 8 bits.
_NATURAL_WHITES = {"integer": (255, 1023, 4095, 16383, 65535), "floating": (1, 255, 65535)}


def value_facts(values: np.ndarray) -> dict[str, Any]:
    """What `FileFacts` says of values: `depth`, `least`, `low`, `high`, `white` and `not_finite`.

    Memory is bounded by the picture's; nothing of it is kept.
    """
    floating = np.issubdtype(values.dtype, np.floating)
    colours = values[..., : 1 if values.shape[2] == 2 else 3] if values.ndim == 3 else values  # without transparency
    finite = colours[np.isfinite(colours)] if floating else colours.ravel()
    facts = {"depth": "floating" if floating else "integer", "not_finite": int(colours.size - finite.size)}
    if not finite.size:
        return facts
    sample = finite[:: -(-finite.size // _MOST_VALUES)]
    left_out = min(max(1, int(OUTLIERS * sample.size)), (sample.size - 1) // 2)
    parted = np.partition(sample, (left_out, sample.size - 1 - left_out))
    low, high = parted[left_out], parted[sample.size - 1 - left_out]
    return {**facts, "least": float(finite.min()), "low": float(low), "high": float(high), "white": float(finite.max())}


def tone_of_one(facts: Mapping[str, Any]) -> Tone:
    """The scale of a single picture, on which it is looked at by itself."""
    if not facts.get("depth"):
        return _OF_8_BITS
    black = facts.get("low", 0.0)
    return Tone(black=black, white=_above(black, facts.get("high", 0.0)), floats="values", colours="values")


def measured_tone(rows: pa.Table) -> Tone:
    """One scale for the images of more than 8 bits among `rows`; where there are none, the tone says so.

    Black and white are the least and greatest value, unless outliers would take much of the scale: a pixel or two of
    a picture, or one picture in a hundred. Then they are the percentiles without these. They are moved to where a scale
    would begin or end anyway (0; 1, 255, 4095, 65535 and their like) where that costs less than half of the grey
    levels, so that 12 bits are shown as 12 bits.

    Args:
        rows: readable rows with the columns of the inspection: those that are trained on.
    """
    nothing = (pc.field("not_finite") > 0) & (pc.field("least") == 0) & (pc.field("white") == 0)
    deep = rows.filter((pc.field("depth") != "") & ~nothing)
    if not deep.num_rows:
        return Tone()
    integers = deep.filter(pc.field("depth") == "integer")
    floating = deep.filter(pc.field("depth") == "floating")
    # Beside integers, floating point from 0 to 1 says the share of white; anything else is in the same unit.
    shares = bool(integers.num_rows and floating.num_rows) and _are_shares(floating) and not _are_shares(integers)
    counted = integers if shares else deep
    black, white = _scale(counted, "integer" if integers.num_rows else "floating")
    return Tone(black=black, white=white, floats="shares" if shares else "values", colours="values")


def _scale(rows: pa.Table, depth: str) -> tuple[float, float]:
    least, lows, highs, greatest = (rows[name].to_numpy() for name in ("least", "low", "high", "white"))
    beyond = max(1, int(_ODD_IMAGES * len(lows))) if len(lows) >= _MANY else 0
    low, high = float(np.sort(lows)[beyond]), float(np.sort(highs)[len(highs) - 1 - beyond])
    range_ = high - low
    black = float(least.min()) if low - least.min() <= range_ / 2 else low
    white = float(greatest.max()) if greatest.max() - high <= range_ / 2 else high
    if 0 < black <= (white - black) / 2:
        black = 0.0
    natural = next((each for each in _NATURAL_WHITES[depth] if white <= each), white)
    if black >= 0 and natural - white < white - black:
        white = float(natural)
    return black, _above(black, white)


def _are_shares(rows: pa.Table) -> bool:
    return bool(pc.min(rows["low"]).as_py() >= 0 and pc.max(rows["high"]).as_py() <= 1)


def _above(black: float, white: float) -> float:
    """A white that is more than black, also where all values are the same."""
    return white if white > black else black + max(1.0, abs(black) / 1e6)
