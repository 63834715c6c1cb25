import numpy as np
import pytest

from vitrail.data.formula.iterated_functions import (
    FEWEST_MAPS,
    MOST_MAPS,
    IteratedFunctionSystem,
    attractor_points,
    drawn_singular_values,
    fixed_point,
    singular_values,
)
from vitrail.data.formula.shapes import Placement

SIERPINSKI = np.array(
    [
        [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]],
        [[0.5, 0.0, 0.5], [0.0, 0.5, 0.0]],
        [[0.5, 0.0, 0.0], [0.0, 0.5, 0.5]],
    ]
)
"""The triangle with corners (0, 0), (1, 0) and (0, 1), without the middle quarter of every triangle in it."""


def drawn_systems(count: int = 500):
    return [IteratedFunctionSystem.drawn(np.random.default_rng(seed)) for seed in range(count)]


def test_the_fixed_points_of_the_sierpinski_system_are_the_corners_of_the_triangle():
    corners = np.stack([fixed_point(single) for single in SIERPINSKI])
    np.testing.assert_allclose(corners, [[0, 0], [1, 0], [0, 1]], atol=1e-12)


def test_every_point_lies_on_the_sierpinski_triangle_and_no_third_of_it_is_forgotten():
    x, y = attractor_points(SIERPINSKI, np.random.default_rng(0), chains=500)
    # On the triangle no binary place is 1 in both coordinates; float32 has 20 places to spare for the first three.
    first_places = np.floor(8 * np.stack([x, y])).astype(int)
    assert not (first_places[0] & first_places[1]).any()
    assert len(np.unique(first_places, axis=1).T) == 27
    assert np.mean(x >= 0.5) == pytest.approx(1 / 3, abs=0.02)
    assert np.mean(y >= 0.5) == pytest.approx(1 / 3, abs=0.02)


def test_a_map_is_chosen_in_proportion_to_the_area_that_it_keeps():
    halves_and_quarters = SIERPINSKI[:2].copy()
    halves_and_quarters[1, :, :2] /= 2
    # Determinants 1/4 and 1/16: four points of five go to the left half; the right one lies between 1/2 and 3/4.
    x, _ = attractor_points(halves_and_quarters, np.random.default_rng(0), chains=4000)
    assert np.mean(x >= 0.5) == pytest.approx(1 / 5, abs=0.01)


def test_no_direction_is_stretched_by_a_drawn_system_nor_by_its_neighbours():
    for seed, system in enumerate(drawn_systems()):
        neighbour = system.jittered(np.random.default_rng(seed))
        for maps in (system.maps, neighbour.maps):
            assert np.linalg.svd(maps[:, :, :2], compute_uv=False).max() <= 1 + 1e-12


def test_neighbours_differ_and_differ_little():
    changed = 0
    for seed, system in enumerate(drawn_systems(100)):
        neighbour = system.jittered(np.random.default_rng(seed)).maps
        ratios = neighbour / system.maps
        assert ((ratios > 0.84) & (ratios < 1.16)).all()
        places = np.flatnonzero((ratios != 1).any(axis=0))
        assert len(places) <= 1
        changed += len(places)
    assert changed > 90


def test_drawn_systems_have_the_promised_number_of_maps_and_sum_of_singular_values():
    counts = set()
    for system in drawn_systems():
        values = np.linalg.svd(system.maps[:, :, :2], compute_uv=False)
        count, factor = len(values), (values @ [1, 2]).sum()
        assert (5 + count) / 2 <= factor <= (6 + count) / 2
        counts.add(count)
    assert counts == set(range(FEWEST_MAPS, MOST_MAPS + 1))


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_drawn_singular_values_sum_to_the_factor_and_stay_in_order(count, share):
    dice = np.random.default_rng(count)
    for _ in range(200):
        values = drawn_singular_values(3 * count * share, count, dice)
        assert (values @ [1, 2]).sum() == pytest.approx(3 * count * share, abs=1e-12)
        assert (values >= -1e-12).all() and (values <= 1 + 1e-12).all()
        assert (values[:, 0] >= values[:, 1] - 1e-12).all()


def test_singular_values_are_those_of_numpy():
    matrices = np.random.default_rng(0).normal(size=(50, 2, 2))
    np.testing.assert_allclose(singular_values(matrices), np.linalg.svd(matrices, compute_uv=False), atol=1e-12)


def test_a_fractal_fills_the_square_of_its_placement_and_nothing_else():
    drawing = IteratedFunctionSystem(SIERPINSKI).ink(100, Placement(0.6, 0.5, 0.4), np.random.default_rng(3))
    rows, columns = np.nonzero(drawing)
    assert (columns.min(), columns.max()) == (40, 80 - 1) or (columns.min(), columns.max()) == (40, 80)
    assert rows.min() == 30 and rows.max() in (69, 70)


def test_what_lies_outside_the_image_is_cut_off():
    drawing = IteratedFunctionSystem(SIERPINSKI).ink(40, Placement(1.0, 0.5, 1.0), np.random.default_rng(0))
    _, columns = np.nonzero(drawing)
    assert columns.min() == 20
    assert drawing.shape == (40, 40)
    # Of the right half of the triangle nothing is seen: no heap of points at the border.
    assert np.count_nonzero(drawing[:, -1]) < 10
