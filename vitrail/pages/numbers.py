"""Numbers as people read them: percent with interval, durations, counts, p-values."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vitrail.measures.intervals import Measure, as_percent

SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}


def is_measure(value: Any) -> bool:
    """Whether a JSON value is a measure."""
    return isinstance(value, Mapping) and value.keys() == {each.name for each in fields(Measure)}


def all_measures(value: Any) -> bool:
    """Whether a JSON value is a mapping of measures: by site, say."""
    return isinstance(value, Mapping) and bool(value) and all(map(is_measure, value.values()))


def rows_of_measures(value: Any) -> bool:
    """Whether a JSON value is a mapping of such mappings: several measures by site."""
    return isinstance(value, Mapping) and bool(value) and all(map(all_measures, value.values()))


def measure_text(measure: Mapping[str, Any]) -> str:
    """A measure in its JSON form as one line: value, interval and n."""
    return Measure.from_json(measure).text()


def value_text(measure: Mapping[str, Any]) -> str:
    """Only the value of a measure in its JSON form; `undefined` when there is none."""
    return Measure.from_json(measure).value_text()


def interval_text(measure: Mapping[str, Any]) -> str:
    """Only the interval of a measure in its JSON form; empty when there is none."""
    return Measure.from_json(measure).interval_text()


def percent(share: float | int) -> str:
    """A share in [0, 1] with one decimal and a sign; only a true 1 reads 100.

    >>> percent(0.961)
    '96.1 %'
    """
    return f"{as_percent(share)} %"


def out_of(share: float | int) -> int:
    """Of how many to speak, so that neither all nor none is said where it is not true: 100, 1,000, …

    >>> [out_of(share) for share in (0.96, 1.0, 0.9991, 0.0004)]
    [100, 100, 1000, 10000]
    """
    per = 100
    while 0 < share < 1 and not 0 < round(per * share) < per and per < 1_000_000:
        per *= 10
    return per


def often(measure: Mapping[str, Any]) -> str:
    """A share in its JSON form, in words: `96 of 100`."""
    share = measure["value"]
    if share is None:
        return f"undefined: {measure['undefined_because']}"
    return f"{count(round(out_of(share) * share))} of {count(out_of(share))}"


def between(measure: Mapping[str, Any]) -> str:
    """The interval of a share in its JSON form, in whole numbers of the same size as `often`; why, if it has none."""
    share, low, high = (measure[name] for name in ("value", "low", "high"))
    if share is None or low is None or high is None:
        return f"no interval: {measure['undefined_because']}"
    return f"between {count(round(out_of(share) * low))} and {count(round(out_of(share) * high))}"


def how_often(measure: Mapping[str, Any]) -> str:
    """A share in its JSON form, with its interval.

    >>> from vitrail.measures.intervals import wilson
    >>> how_often(wilson(147, 153, name="accuracy").as_json())
    '96 of 100, between 92 and 98'
    """
    return often(measure) if measure["value"] is None else f"{often(measure)}, {between(measure)}"


def count(number: int) -> str:
    """A whole number with separators.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def duration(seconds: float | int) -> str:
    """A time span in the two units that matter.

    >>> [duration(s) for s in (0.0123, 8.25, 59.97, 75, 3600 * 5 + 61)]
    ['12 ms', '8.2 s', '1 min 0 s', '1 min 15 s', '5 h 1 min']
    """
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return _minutes(round(seconds))


def rough_duration(seconds: float | int | None) -> str:
    """An estimated time span, in no more than whole seconds; `?` where there is no estimate.

    >>> [rough_duration(s) for s in (0.4, 8.25, 75, None)]
    ['0 s', '8 s', '1 min 15 s', '?']
    """
    if seconds is None:
        return "?"
    return f"{seconds:.0f} s" if seconds < 60 else _minutes(round(seconds))


def _minutes(seconds: int) -> str:
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def p_value(p: float | int) -> str:
    """A p-value without false precision.

    >>> p_value(0.00002), p_value(0.0431)
    ('p < 0.001', 'p = 0.043')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def words(name: str) -> str:
    """A field name as words: `image_size` becomes `image size`.

    >>> words("image_size")
    'image size'
    """
    return name.replace("_", " ")


def split_name(split: str) -> str:
    """The word for a split: `val` becomes `validation`; names of people's own splits stay."""
    return SPLIT_NAMES.get(split, split)
