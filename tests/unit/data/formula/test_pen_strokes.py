import itertools

import numpy as np
import pytest

from vitrail.data.formula.pen_strokes import PenStrokes, curve_through
from vitrail.data.formula.shapes import Placement


def drawn(seed: int) -> PenStrokes:
    return PenStrokes.drawn(np.random.default_rng(seed))


def test_a_curve_goes_through_its_points_and_between_them_as_worked_out_by_hand():
    corner = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    curve = curve_through(corner)
    np.testing.assert_allclose(curve[[0, 8, 16]], corner)
    # Half way: (9 (p1 + p2) - p0 - p3) / 16, where an end is its own neighbour.
    np.testing.assert_allclose(curve[4], [(9 * (0 + 1) - 0 - 1) / 16, (9 * 0 - 0 - 1) / 16])
    np.testing.assert_allclose(curve[12], [(9 * (1 + 1) - 0 - 1) / 16, (9 * (0 + 1) - 0 - 1) / 16])


def test_a_curve_through_two_points_is_straight():
    curve = curve_through(np.array([[-1.0, 2.0], [3.0, 0.0]]))
    np.testing.assert_allclose(curve[:, 1], 2 - (curve[:, 0] + 1) / 2, atol=1e-12)


def test_a_character_has_one_to_four_strokes_stands_in_the_middle_and_fills_the_image():
    characters = [drawn(seed) for seed in range(500)]
    assert {len(each.strokes) for each in characters} == {1, 2, 3, 4}
    assert {len(stroke) for each in characters for stroke in each.strokes} == {2, 3, 4, 5}
    for each in characters:
        points = np.concatenate(each.strokes)
        np.testing.assert_allclose(points.min(axis=0), -points.max(axis=0), atol=1e-12)
        assert np.abs(points).max() == pytest.approx(0.8)
    assert all(0.03 <= each.tremble <= 0.08 for each in characters)


def test_renderings_are_written_by_other_hands_but_are_the_same_character():
    def overlap(first: np.ndarray, second: np.ndarray) -> float:
        return float((first & second).sum() / (first | second).sum())

    images = [
        [drawn(seed).ink(48, Placement(), np.random.default_rng(100 * seed + number)) > 0 for number in range(8)]
        for seed in range(10)
    ]
    alike = np.mean([overlap(row[0], other) for row in images for other in row[1:]])
    strange = np.mean([overlap(row[0], other) for row, following in itertools.pairwise(images)
                       for other in following])  # fmt: skip
    assert alike > 1.8 * strange
    inks = [image.mean() for image in images[0]]
    assert max(inks) > 1.5 * min(inks), "pens are of different widths"
