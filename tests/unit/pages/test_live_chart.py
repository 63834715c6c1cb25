"""Charts of the last minutes: one scale, gaps where nothing is known, and words for those who cannot see them."""

import re

from vitrail.pages.live_chart import live_charts


def charts(*values: list[float | None], bars: bool = False) -> list:
    return live_charts(list(values), title="rate", words=lambda value: f"{value:g} / s", bars=bars)


def test_charts_that_are_compared_have_one_scale_that_begins_at_nought() -> None:
    high, low = charts([0.0, 8.0], [0.0, 4.0])

    assert high.top == low.top == "10 / s"
    assert 'd="M0.5 100.0L1.5 20.0"' in high.drawing
    assert 'd="M0.5 100.0L1.5 60.0"' in low.drawing


def test_what_is_not_known_is_a_gap_and_a_value_alone_is_a_dot() -> None:
    (chart,) = charts([1.0, 1.0, None, 1.0])

    assert re.search(r'class="line" d="([^"]*)"', chart.drawing)[1] == "M0.5 0.0L1.5 0.0M3.5 0.0h0"  # type: ignore[index]
    assert chart.now == "1 / s"


def test_counts_are_bars_and_none_is_no_bar() -> None:
    (chart,) = charts([0.0, 5.0, 1.0], bars=True)

    assert chart.drawing.count("<rect") == 2
    assert 'y="0.0" width="0.8" height="100.0"' in chart.drawing


def test_a_chart_says_what_it_shows_and_is_drawn_before_there_is_anything() -> None:
    known, empty, unfinished = charts([3.0, 7.0], [None, None], [2.0, None])

    assert 'aria-label="rate: now 7 / s, highest 7 / s"' in known.drawing
    assert 'aria-label="rate: nothing yet"' in empty.drawing and empty.now is None
    assert 'aria-label="rate: now none, highest 2 / s"' in unfinished.drawing
    assert charts([])[0].top == ""


def test_words_are_escaped() -> None:
    (chart,) = live_charts([[1.0]], title='"><script>', words=str)

    assert "<script>" not in chart.drawing
