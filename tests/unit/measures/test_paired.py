import json

import numpy as np
import pytest
import scipy.stats

from vitrail.basics.errors import InputError
from vitrail.measures.paired import compare_losses, sign_flip_p_value


def scipy_p_value(differences: np.ndarray, *, resamples: float) -> float:
    return scipy.stats.permutation_test(
        (differences,),
        np.sum,
        permutation_type="samples",
        n_resamples=resamples,
        vectorized=True,
        rng=np.random.default_rng(0),
    ).pvalue


@pytest.mark.parametrize("n", [2, 5, 9, 12, 13])
def test_few_images_are_tested_exactly_as_scipy_does_by_enumeration(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.4, 1.0, n)
    assert sign_flip_p_value(differences, seed=0) == pytest.approx(scipy_p_value(differences, resamples=np.inf))


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.3])
def test_many_images_are_tested_as_scipy_does_within_the_error_of_drawing(shift: float) -> None:
    differences = np.random.default_rng(5).normal(shift, 1.0, 120)
    expected = scipy_p_value(differences, resamples=20_000)
    error = np.sqrt(expected * (1 - expected) * (1 / 9999 + 1 / 20_000))
    assert sign_flip_p_value(differences, seed=1) == pytest.approx(expected, abs=4 * error + 2e-4)


def test_the_smallest_possible_p_value_is_not_zero() -> None:
    assert sign_flip_p_value(np.ones(60), seed=0) == 1 / 10_000
    assert sign_flip_p_value(np.ones(5), seed=0) == 2 / 32


def test_ties_count_as_extreme_however_small_the_numbers() -> None:
    # 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ by rounding; at 1e-12 an absolute slack would swallow everything.
    for scale in (1.0, 1e-12):
        assert sign_flip_p_value(np.array([0.1, 0.2, 0.3, -0.1]) * scale, seed=0) == 6 / 16


def test_a_clearly_lower_loss_is_better_and_the_other_way_round_worse() -> None:
    random = np.random.default_rng(6)
    before = random.gamma(2, 0.3, 200)
    after = before - 0.1 + random.normal(0, 0.2, 200)
    better, worse = compare_losses(before, after), compare_losses(after, before)
    assert (better.decision, worse.decision) == ("better", "worse")
    assert better.difference.value == pytest.approx((before - after).mean()) and better.difference.low > 0
    assert worse.difference.value == -better.difference.value and worse.p_value == pytest.approx(
        better.p_value, abs=1e-3
    )
    assert (better.n, better.groups, better.method) == (200, None, "sign-flip test over images")
    assert (better.difference.scale, better.difference.method) == ("number", "bootstrap")


def test_the_interval_of_the_difference_is_scipys_paired_bootstrap() -> None:
    before, after = np.random.default_rng(7).gamma(2, 0.3, (2, 150))
    expected = scipy.stats.bootstrap(
        (before - after,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    measure = compare_losses(before, after).difference
    assert (measure.low, measure.high) == (
        pytest.approx(expected.low, abs=0.01),
        pytest.approx(expected.high, abs=0.01),
    )


def test_four_patients_are_no_forty_witnesses() -> None:
    groups = np.repeat(np.arange(4), 10)
    after = np.zeros(40)
    before = after + np.repeat([0.5, 0.4, 0.6, 0.3], 10)
    assert compare_losses(before, after).decision == "better"
    grouped = compare_losses(before, after, groups=groups)
    assert (grouped.decision, grouped.p_value) == ("not enough evidence", 2 / 16)
    assert (grouped.n, grouped.groups, grouped.method) == (40, 4, "exact sign-flip test over groups")
    assert grouped.difference.value == pytest.approx(0.45) and grouped.difference.method == "cluster bootstrap"
    assert 0.3 <= grouped.difference.low < 0.36 and 0.54 < grouped.difference.high <= 0.6


def test_the_decision_is_wrong_as_rarely_as_it_promises_though_images_of_one_patient_agree() -> None:
    random, groups, alarms = np.random.default_rng(8), np.repeat(np.arange(25), 6), 0
    for trial in range(200):
        before = np.repeat(random.normal(2, 0.3, 25), 6) + random.normal(0, 0.05, 150)
        after = np.repeat(random.normal(2, 0.3, 25), 6) + random.normal(0, 0.05, 150)
        alarms += compare_losses(before, after, groups=groups, seed=trial).decision != "not enough evidence"
    assert 0.01 <= alarms / 200 <= 0.1


def test_how_sure_a_decision_must_be_can_be_set() -> None:
    before, after = np.arange(1.0, 7.0), np.zeros(6)  # p = 2 / 64
    assert compare_losses(before, after).decision == "better"
    assert compare_losses(before, after, alpha=0.01).decision == "not enough evidence"


def test_equal_losses_are_no_evidence() -> None:
    comparison = compare_losses(np.ones(30), np.ones(30))
    assert (comparison.decision, comparison.p_value) == ("not enough evidence", 1.0)
    assert (comparison.difference.value, comparison.difference.low) == (0.0, None)
    assert comparison.difference.undefined_because == "both models have the same loss on every image"


def test_no_images_are_no_evidence() -> None:
    comparison = compare_losses(np.zeros(0), np.zeros(0))
    assert (comparison.decision, comparison.p_value, comparison.difference.value) == ("not enough evidence", 1.0, None)


def test_a_comparison_is_plain_json_and_the_same_for_the_same_seed() -> None:
    before, after = np.random.default_rng(9).gamma(2, 0.3, (2, 40))
    fields = compare_losses(before, after, seed=3).as_json()
    assert json.loads(json.dumps(fields)) == fields == compare_losses(before, after, seed=3).as_json()
    assert fields["difference"] != compare_losses(before, after, seed=4).as_json()["difference"]


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_loss_that_is_no_number_is_refused_with_its_place(bad: float) -> None:
    with pytest.raises(InputError) as caught:
        compare_losses(np.ones(3), np.array([1.0, bad, 1.0]))
    assert str(caught.value) == (
        f"the loss after of image number 2 is {bad}, expected a finite number\n"
        "hint: a probability of exactly 0 has an infinite log loss: keep probabilities above 0"
    )
