import numpy as np
import pytest

from tests.unit.data.inspection.test_deep_pictures import deep
from vitrail.data.inspection.value_range import measured_tone, value_facts
from vitrail.data.tone import Tone


def test_a_dead_pixel_and_a_number_that_is_none_do_not_move_the_range():
    values = np.linspace(-1000, 400, 32 * 32, dtype=np.float32).reshape(32, 32)
    values[3, 3], values[5, 5] = 1e30, np.nan
    facts = value_facts(values)
    assert (facts["depth"], facts["not_finite"], facts["white"]) == ("floating", 1, pytest.approx(1e30))
    assert facts["high"] == pytest.approx(400, abs=10)
    assert facts["low"] == pytest.approx(-1000, abs=10)


@pytest.mark.parametrize("values", [np.full((2, 2), np.nan), np.full((4, 4), np.inf), np.ones((1, 1)), np.ones((0, 3))])
def test_odd_pictures_have_a_range(values):
    facts = value_facts(values)
    assert np.isfinite([facts.get(name, 0.0) for name in ("least", "low", "high", "white")]).all()


def test_transparency_is_no_value():
    values = np.dstack([np.full((8, 8), 1000, np.uint16), np.full((8, 8), 65535, np.uint16)])
    assert value_facts(values)["white"] == 1000


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        ([0] * 3, [4000, 3000, 3500], (0, 4095)),  # 12 bits
        ([5] * 3, [60_000] * 3, (0, 65_535)),
        ([0] * 3, [900] * 3, (0, 1023)),
        ([30_000] * 3, [31_000] * 3, (30_000, 31_000)),  # a natural scale would leave eight levels
        ([-1024] * 3, [600] * 3, (-1024, 600)),
        ([0] * 30, [4000] * 29 + [65_535], (0, 4095)),  # one image in thirty is odd
        ([0] * 3, [0] * 3, (0, 1)),
        ([70_000] * 3, [70_000] * 3, (70_000, 70_001)),
    ],
)
def test_one_scale_for_all_integers(low, high, scale):
    tone = measured_tone(deep(["a"] * len(low), low, high))
    assert (tone.black, tone.white) == scale
    assert tone.is_measured


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [([0.1], [0.9], (0, 1)), ([3.0], [200.0], (0, 255)), ([-3.5], [2.5], (-3.5, 2.5)), ([0.0], [1e-6], (0, 1e-6))],
)
def test_one_scale_for_all_floating_point(low, high, scale):
    tone = measured_tone(deep(["a"], low, high, depth=["floating"]))
    assert (tone.black, tone.white, tone.floats) == (*scale, "values")


def test_shares_beside_integers_are_shares():
    tone = measured_tone(deep(["a", "b"], [0, 0], [1, 4000], depth=["floating", "integer"]))
    assert (tone.black, tone.white, tone.floats) == (0, 4095, "shares")
    same_unit = measured_tone(deep(["a", "b"], [-1000, -1000], [400, 400], depth=["floating", "integer"]))
    assert (same_unit.black, same_unit.white, same_unit.floats) == (-1000, 400, "values")


def test_8_bits_leave_the_tone_unmeasured():
    assert measured_tone(deep(["a"], [0], [0], depth=[""])) == Tone()


def test_a_picture_without_any_number_does_not_move_the_scale():
    tone = measured_tone(
        deep(["a"] * 3, [5000, 5000, 0], [6000, 6000, 0], depth=["floating"] * 3, not_finite=[0, 0, 3072])
    )
    assert (tone.black, tone.white) == (5000, 6000)
