import json

import numpy as np
import pytest

from vitrail.basics.errors import InputError
from vitrail.measures.transfer import transfer_gain


def first(right: int, n: int) -> np.ndarray:
    return np.arange(n) < right


def test_the_three_gains_are_the_hand_worked_ones() -> None:
    gain = transfer_gain(first(80, 100), first(50, 100), classes=4)
    assert gain.absolute_improvement.value == pytest.approx(0.3)  # 0.8 - 0.5
    assert gain.transfer_gain.value == pytest.approx(0.6)  # 0.3 / 0.5
    assert gain.normalized_gain.value == pytest.approx(1.2)  # 0.3 / (0.5 - 0.25)
    for measure in (gain.absolute_improvement, gain.transfer_gain, gain.normalized_gain):
        assert measure.low < measure.value < measure.high
        assert (measure.n, measure.scale, measure.method) == (100, "number", "bootstrap")


def test_a_loss_is_a_negative_gain() -> None:
    gain = transfer_gain(first(50, 100), first(80, 100), classes=4)
    assert gain.absolute_improvement.value == pytest.approx(-0.3)
    assert gain.transfer_gain.value == pytest.approx(-0.375)
    assert gain.normalized_gain.value == pytest.approx(-0.3 / 0.55)


def test_the_interval_is_paired_so_shared_mistakes_do_not_widen_it() -> None:
    scratch = np.random.default_rng(0).random(400) < 0.6
    transfer = scratch | (np.arange(400) % 10 == 0)
    paired = transfer_gain(transfer, scratch, classes=2).absolute_improvement
    shuffled = transfer_gain(np.random.default_rng(1).permutation(transfer), scratch, classes=2).absolute_improvement
    assert paired.value == pytest.approx(shuffled.value)
    assert paired.high - paired.low < 0.5 * (shuffled.high - shuffled.low)
    # The standard error of a paired difference with b gained images and none lost: sqrt(b/n - (b/n)**2) / sqrt(n).
    share = paired.value
    assert paired.high - paired.low == pytest.approx(2 * 1.96 * np.sqrt((share - share**2) / 400), rel=0.12)


def test_images_of_one_patient_count_once() -> None:
    patients = np.random.default_rng(2).random((2, 20)) < [[0.9], [0.6]]
    transfer, scratch = np.repeat(patients, 10, axis=1)
    alone = transfer_gain(transfer, scratch, classes=4).absolute_improvement
    grouped = transfer_gain(transfer, scratch, classes=4, groups=np.arange(200) // 10).absolute_improvement
    assert grouped.method == "cluster bootstrap"
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_intervals_of_all_three_cover_the_truth_about_as_often_as_they_say() -> None:
    random, covered = np.random.default_rng(3), np.zeros(3)
    truth = {"absolute_improvement": 0.2, "transfer_gain": 0.2 / 0.7, "normalized_gain": 0.2 / (0.7 - 0.25)}
    for trial in range(200):
        scratch = random.random(150) < 0.7
        transfer = np.where(scratch, random.random(150) < 0.95, random.random(150) < 0.7833333)
        gain = transfer_gain(transfer, scratch, classes=4, seed=trial)
        covered += [getattr(gain, name).low <= value <= getattr(gain, name).high for name, value in truth.items()]
    assert (covered / 200 > 0.9).all() and (covered / 200 < 0.995).all()


def test_a_gain_over_a_scratch_model_no_better_than_chance_is_undefined_and_not_infinite() -> None:
    gain = transfer_gain(first(90, 99), first(33, 99), classes=3)
    assert gain.normalized_gain.value is None
    assert gain.normalized_gain.undefined_because == "training from scratch is not above 1/3"
    assert gain.transfer_gain.value == pytest.approx(57 / 33)


def test_a_gain_over_a_scratch_model_that_is_never_right_is_undefined() -> None:
    gain = transfer_gain(first(5, 10), first(0, 10), classes=2)
    assert gain.transfer_gain.value is None
    assert gain.transfer_gain.undefined_because == "training from scratch is never right"
    assert gain.absolute_improvement.value == 0.5


def test_a_scratch_model_hardly_above_chance_leaves_the_gain_without_an_end() -> None:
    gain = transfer_gain(first(90, 100), first(55, 100), classes=2)
    assert gain.normalized_gain.value == pytest.approx(7.0)
    assert (gain.normalized_gain.low, gain.normalized_gain.high) == (None, None)
    assert gain.normalized_gain.undefined_because == "in too many resamples, training from scratch is not above 1/2"


def test_resamples_at_chance_push_the_end_outwards_instead_of_being_forgotten() -> None:
    # At 62 of 100 about one resample in a hundred is at chance or below: too few to leave the interval out.
    scratch = np.random.default_rng(0).permutation(first(62, 100))
    measures = [transfer_gain(first(90, 100), scratch, classes=2, seed=seed).normalized_gain for seed in range(15)]
    low, high = np.median([(measure.low, measure.high) for measure in measures], axis=0)
    random = np.random.default_rng(9)
    drawn = random.integers(0, 100, (200_000, 100))
    above, gained = scratch[drawn].mean(1) - 0.5, first(90, 100)[drawn].mean(1) - scratch[drawn].mean(1)
    gains = np.where(above > 1e-9, gained / np.where(above > 1e-9, above, 1), np.inf)
    assert 0.002 < np.isinf(gains).mean() < 0.025
    assert low == pytest.approx(np.quantile(gains, 0.025, method="lower"), rel=0.1)
    assert high == pytest.approx(np.quantile(gains, 0.975, method="lower"), rel=0.2)


@pytest.mark.parametrize(("transfer", "low", "high"), [(20, 0.8389, 1.0), (0, -0.1611, 0.1611)])
def test_models_that_differ_nowhere_or_everywhere_are_not_certain(transfer: int, low: float, high: float) -> None:
    # Tango's score interval reaches z**2 / (n + z**2) = 3.8415 / 23.8415 from 0 and from 1.
    gain = transfer_gain(first(transfer, 20), first(0, 20), classes=2).absolute_improvement
    assert (gain.low, gain.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert gain.method == "Tango on 20 images"


def test_equal_models_gain_nothing_and_their_relative_gains_have_no_interval() -> None:
    gain = transfer_gain(first(8, 10), first(8, 10), classes=2)
    assert (gain.transfer_gain.value, gain.transfer_gain.low) == (0.0, None)
    assert gain.transfer_gain.undefined_because == "all resamples give the same value"


def test_one_patient_gives_no_interval() -> None:
    gain = transfer_gain(first(8, 10), first(6, 10), classes=2, groups=np.zeros(10, int))
    for measure in (gain.absolute_improvement, gain.transfer_gain, gain.normalized_gain):
        assert measure.value is not None and measure.low is None
        assert measure.undefined_because == "all these images belong to one group"


def test_no_images_make_all_gains_undefined() -> None:
    gain = transfer_gain(first(0, 0), first(0, 0), classes=2)
    assert json.loads(json.dumps(gain.as_json()))["normalized_gain"]["value"] is None
    assert gain.absolute_improvement.undefined_because == "there are no images to measure it on"


def test_a_gain_over_chance_needs_two_classes() -> None:
    with pytest.raises(InputError) as caught:
        transfer_gain(first(1, 2), first(1, 2), classes=1)
    assert str(caught.value) == "a gain over chance needs at least 2 classes, got 1\nhint: give classes=2 or more"
