import re

import numpy as np

from vitrail.measures.intervals import Measure, wilson
from vitrail.pages.level_plot import level_plot

LEVELS = ["0", "1", "25.5"]


def shares(*counts):
    return [wilson(count, 20, name="accuracy").as_json() for count in counts]


def drawn(**lines):
    return level_plot(lines, LEVELS, title="Under attack", x_label="grey levels", y_label="right")


def test_every_figure_is_a_point_at_its_height_with_its_interval_and_in_words():
    plot = drawn(one=shares(20, 10, 0))
    heights = [float(each) for each in re.findall(r'<circle class="dot-0" cx="[0-9.]+" cy="([0-9.]+)"', plot)]
    assert np.allclose(np.diff(heights), 100) and len(heights) == 3
    bars = [
        tuple(map(float, each)) for each in re.findall(r'stroke-opacity="0.45" d="M[0-9.]+ ([0-9.]+)V([0-9.]+)"', plot)
    ]
    assert len(bars) == 3 and all(high <= y <= low for (low, high), y in zip(bars, heights, strict=True))
    assert "50.0 % (29.9–70.1, n = 20) at 1" in plot and ">25.5</text>" in plot


def test_lines_stand_beside_each_other_at_equal_distances():
    plot = drawn(one=shares(20, 10, 0), other=shares(20, 10, 0))
    one, other = (
        [float(each) for each in re.findall(rf'<circle class="dot-{kind}" cx="([0-9.]+)"', plot)] for kind in (0, 1)
    )
    assert np.allclose(np.subtract(other, one), 5) and np.allclose(np.diff(one), np.diff(one)[0])


def test_what_is_undefined_leaves_a_gap_and_names_are_escaped():
    measures = shares(20, 10, 0)
    measures[1] = Measure("accuracy", None, 0, undefined_because="there are no images to measure it on").as_json()
    plot = drawn(**{"<b>": measures})
    assert plot.count("<circle") == 2 and "<b>" not in plot and "&lt;b&gt;" in plot
    assert re.search(r'<path class="line-0" stroke-dasharray="none" d="M[0-9. ]+M[0-9. ]+"/>', plot)


def test_one_level_alone_is_drawn_in_the_middle():
    assert level_plot({"one": shares(5)}, ["0"], title="x", x_label="x", y_label="y").count("<circle") == 1
