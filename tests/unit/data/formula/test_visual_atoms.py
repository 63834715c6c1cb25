import numpy as np
import pytest

from vitrail.data.formula.orbits import gradient_noise
from vitrail.data.formula.visual_atoms import VisualAtom


def atom(**changed) -> VisualAtom:
    numbers = {
        "corners": 4, "orbits": 3, "growth": 0.0, "spacing": 0.1, "radius": 10.0, "oval": (1.5, 2.0), "waves": (1, 5),
    }  # fmt: skip
    return VisualAtom(**{**numbers, **changed})


def test_an_orbit_goes_through_the_points_that_are_worked_out_by_hand():
    x, y = atom().points(np.random.default_rng(0))
    # theta = 0: both waves are 0, so orbit k stands at 10 · 1.5 + k · 0.1.
    np.testing.assert_allclose(x[:, 0], [15.1, 15.2, 15.3], rtol=1e-5)
    np.testing.assert_allclose(y[:, 0], 0, atol=1e-5)
    # theta = pi / 2: sin(pi / 2) = sin(5 pi / 2) = 1, so every orbit is 0.1 + 1 farther than the last from 10 · 2.
    np.testing.assert_allclose(y[:, 1], [21.1, 22.2, 23.3], rtol=1e-5)
    np.testing.assert_allclose(x[:, 1], 0, atol=1e-5)
    # theta = 3 pi / 2: both waves are -1, downwards.
    np.testing.assert_allclose(y[:, 3], [-19.1, -18.2, -17.3], rtol=1e-5)


def test_noise_takes_its_share_of_the_growth():
    x, _ = atom(growth=2.0, waves=(0, 0)).points(np.random.default_rng(7))
    noise = gradient_noise((2, 3, 4), np.random.default_rng(7))[0]
    expected = 15 + np.cumsum(2.0 * (1 - noise[:, 0] / np.sqrt(5)) + 0.1)
    np.testing.assert_allclose(x[:, 0], expected, rtol=1e-5)


def test_waves_make_as_many_lobes_as_their_number():
    x, y = atom(corners=300, orbits=20, oval=(1.0, 1.0), waves=(7, 0)).points(np.random.default_rng(0))
    radius = np.hypot(x[-1], y[-1])
    lobes = np.sum((radius > np.roll(radius, 1)) & (radius >= np.roll(radius, -1)))
    assert lobes == 7
    assert radius.max() - radius.min() == pytest.approx(20, rel=0.01)  # 20 orbits of ± 1 / 2


def test_numbers_are_drawn_from_the_ranges_that_are_told():
    atoms = [VisualAtom.drawn(np.random.default_rng(seed)) for seed in range(3000)]
    assert {each.orbits for each in atoms} == set(range(1, 41))
    assert {wave for each in atoms for wave in each.waves} == set(range(21))
    assert all(each.waves[0] != each.waves[1] or each.waves == (0, 0) for each in atoms)
    assert min(each.corners for each in atoms) >= 100 and max(each.corners for each in atoms) <= 400
    assert all(0 <= each.growth <= 4 and 0 <= each.spacing <= 0.1 and 2 <= each.radius <= 12 for each in atoms)
    assert all(1 <= axis <= 2 for each in atoms for axis in each.oval)
