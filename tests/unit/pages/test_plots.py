import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from vitrail.measures.intervals import wilson
from vitrail.pages.plots import confusion_svg, interval_bar, top_confusions
from vitrail.pages.window import stained_window

NASTY = '<script>alert("1")</script> & "co"'


@pytest.mark.parametrize("K", [2, 5, 12, 30])
def test_the_matrix_is_well_formed_and_shows_every_count_and_name(K: int) -> None:
    matrix = np.arange(K * K).reshape(K, K)
    svg = ElementTree.fromstring(confusion_svg(matrix, [f"kind {k}" for k in range(K)]))
    assert {text.text for text in svg.iter("text")} >= {f"kind {k}" for k in range(K)} | {
        f"{n}" for n in matrix.flat if n
    }
    assert svg.find("title").text == "Confusion matrix"
    assert svg.find("desc").text.startswith(
        f"{K} classes, {matrix.sum():,} images, {np.trace(matrix):,} on the diagonal"
    )


def test_a_cell_is_coloured_by_its_share_of_the_row() -> None:
    svg = confusion_svg(np.array([[9, 1], [0, 0]]), ["ant", "bee"])
    cells = re.findall(r'<title>(ant [^<]*)</title><rect class="(\w+)" fill-opacity="([\d.]+)"', svg)
    assert cells == [("ant recognised: 9 of 10", "right", "0.91"), ("ant taken for bee: 1 of 10", "wrong", "0.21")]


def test_class_names_are_only_ever_text() -> None:
    svg = confusion_svg(np.eye(2, dtype=int), [NASTY, "b"])
    assert "<script" not in svg and "&lt;script" in svg
    ElementTree.fromstring(svg)
    bar = interval_bar(wilson(1, 2, name=NASTY).as_json())
    assert "<script" not in bar
    ElementTree.fromstring(bar)


def test_all_of_a_drawing_lies_inside_its_frame() -> None:
    svg = ElementTree.fromstring(confusion_svg(np.eye(25, dtype=int), ["a long name of a class"] * 25))
    width, height = float(svg.get("width")), float(svg.get("height"))
    for text in svg.iter("text"):
        assert 0 <= float(text.get("x")) <= width and 0 <= float(text.get("y")) <= height
    turned = [text for text in svg.iter("text") if "rotate(-45" in (text.get("transform") or "")]
    for text in turned:
        reach = 0.72 * 6.6 * len(text.text)
        assert float(text.get("x")) + reach <= width and float(text.get("y")) - reach >= 0


def test_the_bar_says_in_words_what_it_draws() -> None:
    bar = interval_bar(wilson(147, 153, name="accuracy").as_json(), baseline=0.5425)
    assert "<desc>96.1 % (91.7–98.2, n = 153); majority class 54.2 %</desc>" in bar
    assert 'class="bar" width="96.08"' in bar and 'x="91.71"' in bar and "M54.25 0V20" in bar


def test_an_undefined_measure_leaves_the_track_empty() -> None:
    bar = interval_bar(wilson(0, 0, name="accuracy").as_json())
    assert 'class="track"' in bar and 'class="bar"' not in bar and "undefined" in bar


def test_the_most_frequent_mistakes_come_first_and_right_answers_never() -> None:
    confusions = top_confusions(np.array([[50, 3, 0], [1, 5, 4], [0, 0, 9]]), ["a", "b", "c"], most=2)
    assert [(each.true, each.predicted, each.count) for each in confusions] == [("b", "c", 4), ("a", "b", 3)]
    assert confusions[0].share == pytest.approx(0.4)
    assert top_confusions(np.diag([4, 4]), ["a", "b"]) == ()


def test_a_window_belongs_to_its_key() -> None:
    assert stained_window("one") == stained_window("one") != stained_window("two")
    ElementTree.fromstring(stained_window("one"))
