import numpy as np
import pytest

from vitrail.data.formula.plasma import diamond_square, plasma

CORNERS = np.array([[0.0, 2.0], [4.0, 10.0]])


def test_without_chance_every_point_is_the_mean_of_its_neighbours():
    heights = diamond_square(CORNERS, levels=1, decay=0.0, dice=np.random.default_rng(0))
    # The middle: (0 + 2 + 4 + 10) / 4 = 4; an edge: the mean of its two corners and the middle.
    np.testing.assert_allclose(heights, [[0, 2, 2], [8 / 3, 4, 16 / 3], [4, 6, 10]])


def test_inner_edges_have_four_neighbours():
    heights = diamond_square(CORNERS, levels=2, decay=0.0, dice=np.random.default_rng(0))
    neighbours = heights[0, 1], heights[2, 1], heights[1, 0], heights[1, 2]
    coarse = diamond_square(CORNERS, levels=1, decay=0.0, dice=np.random.default_rng(0))
    np.testing.assert_allclose(heights[::2, ::2], coarse)
    assert heights[1, 1] == pytest.approx(coarse[:2, :2].mean())
    assert heights[1, 2] == pytest.approx(np.mean([heights[0, 2], heights[2, 2], heights[1, 1], heights[1, 3]]))
    assert heights[0, 1] == pytest.approx(np.mean([heights[0, 0], heights[0, 2], heights[1, 1]]))
    assert len(neighbours) == 4


def test_corners_keep_the_heights_that_were_given():
    heights = diamond_square(CORNERS, levels=5, decay=0.7, dice=np.random.default_rng(0))
    assert heights.shape == (33, 33)
    np.testing.assert_array_equal(heights[[0, 0, -1, -1], [0, -1, 0, -1]], CORNERS.ravel())


def test_a_larger_decay_is_rougher():
    steps = [
        np.abs(np.diff(plasma(65, decay=decay, dice=np.random.default_rng(0)))).mean() for decay in (0.3, 0.5, 0.7, 0.9)
    ]
    assert steps == sorted(steps)


@pytest.mark.parametrize("size", [2, 3, 16, 17, 96])
def test_plasma_has_the_size_that_was_asked_for_and_goes_from_dark_to_bright(size):
    clouds = plasma(size, decay=0.6, dice=np.random.default_rng(0))
    assert clouds.shape == (size, size)
    assert (clouds.min(), clouds.max()) == (0, 1)
