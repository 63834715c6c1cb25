import pytest

from vitrail.measures.intervals import wilson
from vitrail.pages.numbers import count, duration, interval_text, measure_text, p_value, split_name, value_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (90_061, "25 h 1 min"),
    ],
)
def test_a_duration_never_shows_sixty_of_anything(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_measures_read_the_same_from_json_as_from_python() -> None:
    measure = wilson(147, 153, name="accuracy")
    assert measure_text(measure.as_json()) == measure.text() == "96.1 % (91.7–98.2, n = 153)"
    assert (value_text(measure.as_json()), interval_text(measure.as_json())) == ("96.1 %", "91.7–98.2")
    assert value_text(wilson(0, 0, name="accuracy").as_json()) == "undefined"


def test_counts_p_values_and_splits_read_like_words() -> None:
    assert count(1234567) == "1,234,567"
    assert (p_value(1e-9), p_value(0.001), p_value(1)) == ("p < 0.001", "p = 0.001", "p = 1.000")
    assert [split_name(split) for split in ("train", "val", "test", "site B")] == [
        "training",
        "validation",
        "test",
        "site B",
    ]
