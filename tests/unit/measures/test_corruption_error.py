import numpy as np
import pytest

from vitrail.basics.errors import InputError
from vitrail.measures.corruption_error import ALEXNET_ERRORS, corruption_errors

RANDOM = np.random.default_rng(0)
CLEAN = RANDOM.random(80) < 0.9
RIGHT = {name: RANDOM.random((5, 80)) < 0.6 for name in ("fog", "snow", "contrast")}


def test_the_error_of_a_reference_against_itself_is_1():
    own = corruption_errors(CLEAN, RIGHT).by_corruption
    found = corruption_errors(CLEAN, RIGHT, reference=own, reference_name="itself")
    assert found.mean_corruption_error.value == pytest.approx(1, abs=1e-12)
    assert found.mean_corruption_error.low < 1 < found.mean_corruption_error.high
    assert found.reference == "itself" and set(found.compared) == set(RIGHT)


def test_figures_are_those_of_the_equation():
    reference = {"fog": 0.8, "snow": 0.5, "frost": 0.9}
    found = corruption_errors(CLEAN, RIGHT, reference=reference)
    errors = {name: 5 - sum(float(row.mean()) for row in rows) for name, rows in RIGHT.items()}
    expected = (errors["fog"] / (5 * 0.8) + errors["snow"] / (5 * 0.5)) / 2
    assert found.mean_corruption_error.value == pytest.approx(expected)
    accuracy = 1 - sum(errors.values()) / 15
    assert found.mean_accuracy.value == pytest.approx(accuracy)
    assert found.relative_drop.value == pytest.approx((CLEAN.mean() - accuracy) / CLEAN.mean())
    assert found.compared == ("fog", "snow")


def test_without_a_reference_there_is_no_such_error():
    found = corruption_errors(CLEAN, RIGHT)
    assert found.mean_corruption_error is None and found.reference is None
    assert found.as_json()["by_corruption"]["fog"] == pytest.approx(1 - RIGHT["fog"].mean())


def test_what_cannot_be_divided_is_undefined_with_the_reason():
    perfect = corruption_errors(CLEAN, RIGHT, reference={"fog": 0.0, "snow": 0.2}).mean_corruption_error
    assert (perfect.value, perfect.undefined_because) == (
        None, "the reference makes no mistake in fog, so that nothing can be divided by its errors",
    )  # fmt: skip
    other = corruption_errors(CLEAN, RIGHT, reference={"frost": 0.5}).mean_corruption_error
    assert (other.value, other.undefined_because) == (None, "the reference was measured on none of these corruptions")
    never = corruption_errors(np.zeros(80, bool), RIGHT).relative_drop
    assert (never.value, never.undefined_because) == (None, "no picture is answered rightly even as it is")
    with pytest.raises(InputError, match="no corruption was measured"):
        corruption_errors(CLEAN, {})


def test_groups_widen_the_interval():
    groups = np.arange(80) // 20
    alike = {"fog": np.repeat(np.array([[True, False, True, False]]), 20, axis=1)}
    alone = corruption_errors(CLEAN, alike).mean_accuracy
    grouped = corruption_errors(CLEAN, alike, groups=groups).mean_accuracy
    assert grouped.method == "cluster bootstrap" and grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_alexnets_published_errors_are_those_of_the_table():
    assert len(ALEXNET_ERRORS) == 13 and ALEXNET_ERRORS["brightness"] == 0.564592
    assert corruption_errors(CLEAN, RIGHT, reference=ALEXNET_ERRORS).compared == ("fog", "snow", "contrast")
