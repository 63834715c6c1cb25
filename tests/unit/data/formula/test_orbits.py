import numpy as np
import pytest
from PIL import Image, ImageDraw

from vitrail.data.formula.orbits import CANVAS, DARKEST, angles, drawn_greys, drawn_orbits, gradient_noise
from vitrail.data.formula.shapes import Placement


def square(half: float) -> np.ndarray:
    return half * np.array([[[1, -1, -1, 1]], [[1, 1, -1, -1]]], np.float32)


def lit(line: np.ndarray) -> dict[int, int]:
    return {int(place): int(line[place]) for place in np.flatnonzero(line)}


def test_directions_go_once_around_and_do_not_come_back_to_the_first():
    np.testing.assert_allclose(angles(4), [0, np.pi / 2, np.pi, 3 * np.pi / 2], rtol=1e-6)


def test_noise_has_the_spread_and_the_limits_that_are_told():
    noise = gradient_noise((300, 1000), np.random.default_rng(0))
    assert noise.mean() == pytest.approx(0, abs=0.003)
    assert noise.std() == pytest.approx(0.32, abs=0.003)
    assert 0.9 < np.abs(noise).max() < 0.953
    assert np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.01)


def test_a_curve_stands_where_the_placement_says():
    # 40 of the canvas's 50 pixels to each side: columns 10 and 90 of 100. Half of 200, 1.6 times brighter.
    drawing = drawn_orbits(square(0.4 * CANVAS), np.array([200], np.uint8), 100, Placement(extent=1.0))
    assert lit(drawing[50]) == {10: 160, 90: 160}
    assert lit(drawing[:, 50]) == {10: 160, 90: 160}
    # Half as large around column 70.
    drawing = drawn_orbits(square(0.4 * CANVAS), np.array([200], np.uint8), 100, Placement(x=0.7, extent=0.5))
    assert lit(drawing[50]) == {50: 160, 90: 160}


def test_a_shape_larger_than_the_canvas_is_scaled_to_it_and_a_tiny_one_to_a_part_of_it():
    grey, whole = np.array([200], np.uint8), Placement(extent=0.75)
    assert lit(drawn_orbits(square(3 * CANVAS), grey, 100, whole)[50]) == {12: 160, 87: 160}
    # 0.6 of the canvas: 0.6 · 0.75 · 50 = 22.5 pixels to each side.
    assert lit(drawn_orbits(square(0.01 * CANVAS), grey, 100, whole)[50]) == {27: 160, 72: 160}


def test_later_curves_cover_earlier_ones():
    twice = np.concatenate([square(40), square(40)], axis=1)
    drawing = drawn_orbits(twice, np.array([200, 100], np.uint8), 100, Placement(extent=1.0))
    assert lit(drawing[50]) == {10: 80, 90: 80}


def test_pillow_reads_an_array_as_it_reads_a_list():
    corners = np.random.default_rng(0).uniform(-20, 120, (60, 2)).astype(np.float32)
    images = [Image.new("L", (100, 100)) for _ in range(2)]
    ImageDraw.Draw(images[0]).line(corners, fill=255)
    ImageDraw.Draw(images[1]).line([tuple(corner) for corner in corners.tolist()], fill=255)
    assert images[0].tobytes() == images[1].tobytes()
    assert np.asarray(images[0]).any()


def test_greys_are_never_too_dark_to_be_seen():
    greys = drawn_greys(5000, np.random.default_rng(0))
    assert (greys.min(), greys.max()) == (DARKEST, 255)
