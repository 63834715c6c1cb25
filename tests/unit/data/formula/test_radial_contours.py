import numpy as np

from vitrail.data.formula.orbits import gradient_noise
from vitrail.data.formula.radial_contours import RadialContour


def contour(contours: int, growth: float) -> RadialContour:
    return RadialContour(corners=4, contours=contours, growth=growth, spacing=0.1, radius=10.0, oval=(1.5, 2.0))


def test_a_contour_goes_through_the_points_that_are_worked_out_by_hand():
    x, y = contour(2, 0.0).points(np.random.default_rng(0))
    np.testing.assert_allclose(x, [[15.1, 0, -15.1, 0], [15.2, 0, -15.2, 0]], atol=1e-5)
    np.testing.assert_allclose(y, [[0, 20.1, 0, -20.1], [0, 20.2, 0, -20.2]], atol=1e-5)


def test_noise_takes_twice_its_share_of_the_growth():
    _, y = contour(3, 2.0).points(np.random.default_rng(7))
    noise = gradient_noise((2, 3, 4), np.random.default_rng(7))[1]
    expected = 20 + np.cumsum(2.0 - 2 * 2.0 * noise[:, 1] / np.sqrt(5) + 0.1)
    np.testing.assert_allclose(y[:, 1], expected, rtol=1e-5)


def test_numbers_are_drawn_from_the_ranges_that_are_told():
    contours = [RadialContour.drawn(np.random.default_rng(seed)) for seed in range(3000)]
    corners = np.array([each.corners for each in contours])
    assert corners.min() == 3 and corners.max() <= 200
    # An exponential of mean 20 forgets its past: from 3 on it lies 20 above 3, less half a corner that is cut off.
    assert abs(corners.mean() - 22.5) < 1.5
    assert {each.contours for each in contours} == set(range(1, 41))
    assert all(0 <= each.radius <= 20 and all(1 <= axis <= 2 for axis in each.oval) for each in contours)
    assert all(0 <= each.growth <= 4 and 0 <= each.spacing <= 0.1 for each in contours)
