import numpy as np
import pytest

from vitrail.data.formula.colours import laid_over, pure_colours, tinted_greys


def test_the_circle_of_colours_is_the_usual_one():
    hues = np.array([0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6])
    red, yellow, green, cyan, blue, magenta = np.rint(pure_colours(hues)).astype(int).tolist()
    assert (red, green, blue) == ([1, 0, 0], [0, 1, 0], [0, 0, 1])
    assert (yellow, cyan, magenta) == ([1, 1, 0], [0, 1, 1], [1, 0, 1])


def test_without_tint_colours_are_greys():
    np.testing.assert_array_equal(
        tinted_greys(1.0, 0.0, np.random.default_rng(0)), np.repeat(np.arange(256)[:, None], 3, axis=1)
    )


def test_colours_are_as_saturated_as_the_tint_allows_and_as_bright_as_asked():
    saturations = []
    for seed in range(200):
        colours = tinted_greys(0.5, 0.4, np.random.default_rng(seed)).astype(int)
        assert colours.max() in (127, 128) and (colours[0] == 0).all()
        saturations.append(1 - colours[-1].min() / colours[-1].max())
    assert 0.36 < max(saturations) <= 0.41
    assert min(saturations) < 0.05


def test_bright_ink_hides_the_ground_and_no_ink_shows_it():
    ground = np.full((1, 3, 3), 100, np.uint8)
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    image = laid_over(ground, np.array([[0, 51, 255]], np.uint8), greys)
    # Ink of a fifth leaves four fifths of the ground: 80 and 51.
    assert image[0, :, 0].tolist() == [100, 131, 255]


def test_ink_on_white_is_never_brighter_than_white():
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    ink = np.arange(256, dtype=np.uint8)[None]
    image = laid_over(np.full((1, 256, 3), 255, np.uint8), ink, greys)
    assert image.min() == pytest.approx(255, abs=1)
