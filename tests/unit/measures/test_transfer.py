import json
from dataclasses import fields

import numpy as np
import pytest

from vitrail.basics.errors import InputError
from vitrail.measures.transfer import transfer_gain


def first(right: int, n: int) -> np.ndarray:
    return np.arange(n) < right


def test_gains_have_the_articles_formulas_under_the_articles_names() -> None:
    gain = transfer_gain(first(130, 153), first(89, 153), classes=2)
    assert gain.transfer_gain.value == pytest.approx((130 - 89) / (153 - 89))  # 0.6406: the share of mistakes mended
    assert gain.normalized_gain.value == pytest.approx((130 / 153 - 0.5) / 0.5)  # 0.6993
    assert gain.absolute_improvement.value == pytest.approx((130 - 89) / 153)
    assert [round(gain.transfer_gain.value, 4), round(gain.normalized_gain.value, 4)] == [0.6406, 0.6993]
    assert gain.relative_improvement.value == pytest.approx(41 / 89)  # 0.4607, what was called transfer gain before
    assert gain.improvement_over_chance.value == pytest.approx(41 / 12.5)  # 3.28, what was called normalised
    for measure in (getattr(gain, field.name) for field in fields(gain)):
        assert measure.low is None or measure.low < measure.value < measure.high
        assert (measure.n, measure.scale) == (153, "number")
    assert [gain.transfer_gain.method, gain.normalized_gain.method] == ["bootstrap"] * 2


def test_chance_is_what_the_caller_says_else_one_of_the_classes() -> None:
    right, scratch = first(80, 100), first(50, 100)
    assert transfer_gain(right, scratch, classes=4).normalized_gain.value == pytest.approx(0.55 / 0.75)
    skewed = transfer_gain(right, scratch, classes=4, random_accuracy=0.6)
    assert skewed.normalized_gain.value == pytest.approx(0.2 / 0.4)
    assert skewed.transfer_gain.value == pytest.approx(0.3 / 0.5), "chance does not matter to it"
    assert skewed.improvement_over_chance.undefined_because == "training from scratch is not above 0.6"
    certain = transfer_gain(right, scratch, classes=4, random_accuracy=1.0).normalized_gain
    assert (certain.value, certain.undefined_because) == (None, "answering by chance is always right")
    assert transfer_gain(right, scratch, classes=4, random_accuracy=0.0).normalized_gain.value == pytest.approx(0.8)
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError) as caught:
            transfer_gain(right, scratch, classes=4, random_accuracy=wrong)
        assert str(caught.value) == (
            f"random_accuracy is {wrong}, expected a share from 0 to 1\nhint: leave it out for 1/4"
        )


def test_a_gain_over_a_scratch_model_that_is_always_right_is_undefined() -> None:
    for transferred in (10, 8):
        gain = transfer_gain(first(transferred, 10), first(10, 10), classes=2)
        assert gain.transfer_gain.value is None
        assert gain.transfer_gain.undefined_because == "training from scratch is always right"
    assert gain.absolute_improvement.value == pytest.approx(-0.2)
    assert gain.normalized_gain.value == pytest.approx(0.6)


def test_a_scratch_model_that_is_nearly_always_right_leaves_the_transfer_gain_without_an_end() -> None:
    gain = transfer_gain(first(20, 20), first(19, 20), classes=2).transfer_gain
    assert gain.value == pytest.approx(1.0)
    assert gain.low is None
    assert gain.undefined_because == "in too many resamples, training from scratch is always right"


def test_a_transferred_model_that_is_always_right_is_not_certain_to_be() -> None:
    gain = transfer_gain(first(20, 20), first(10, 20), classes=2).normalized_gain
    assert gain.value == 1.0 == gain.high
    assert gain.low == pytest.approx((0.8389 - 0.5) / 0.5, abs=1e-4)  # Wilson: 20 / (20 + 3.8415) = 0.8389
    assert gain.method == "Wilson on 20 images"


def test_other_gains_are_the_hand_worked_ones() -> None:
    gain = transfer_gain(first(80, 100), first(50, 100), classes=4)
    assert gain.absolute_improvement.value == pytest.approx(0.3)  # 0.8 - 0.5
    assert gain.relative_improvement.value == pytest.approx(0.6)  # 0.3 / 0.5
    assert gain.improvement_over_chance.value == pytest.approx(1.2)  # 0.3 / (0.5 - 0.25)
    for measure in (gain.absolute_improvement, gain.relative_improvement, gain.improvement_over_chance):
        assert measure.low < measure.value < measure.high
        assert (measure.n, measure.scale, measure.method) == (100, "number", "bootstrap")


def test_a_loss_is_a_negative_gain() -> None:
    gain = transfer_gain(first(50, 100), first(80, 100), classes=4)
    assert gain.absolute_improvement.value == pytest.approx(-0.3)
    assert gain.transfer_gain.value == pytest.approx(-1.5)
    assert gain.relative_improvement.value == pytest.approx(-0.375)
    assert gain.improvement_over_chance.value == pytest.approx(-0.3 / 0.55)


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


def test_intervals_of_all_cover_the_truth_about_as_often_as_they_say() -> None:
    random, covered = np.random.default_rng(3), np.zeros(5)
    truth = {"absolute_improvement": 0.2, "transfer_gain": 0.2 / 0.3, "normalized_gain": (0.9 - 0.25) / 0.75,
             "relative_improvement": 0.2 / 0.7, "improvement_over_chance": 0.2 / (0.7 - 0.25)}  # fmt: skip
    for trial in range(200):
        scratch = random.random(150) < 0.7
        transfer = np.where(scratch, random.random(150) < 0.95, random.random(150) < 0.7833333)
        gain = transfer_gain(transfer, scratch, classes=4, seed=trial)
        covered += [getattr(gain, name).low <= value <= getattr(gain, name).high for name, value in truth.items()]
    assert (covered / 200 > 0.9).all() and (covered / 200 < 0.995).all()


def test_a_gain_over_a_scratch_model_no_better_than_chance_is_undefined_and_not_infinite() -> None:
    gain = transfer_gain(first(90, 99), first(33, 99), classes=3)
    assert gain.improvement_over_chance.value is None
    assert gain.improvement_over_chance.undefined_because == "training from scratch is not above 1/3"
    assert gain.relative_improvement.value == pytest.approx(57 / 33)


def test_a_gain_over_a_scratch_model_that_is_never_right_is_undefined() -> None:
    gain = transfer_gain(first(5, 10), first(0, 10), classes=2)
    assert gain.relative_improvement.value is None
    assert gain.relative_improvement.undefined_because == "training from scratch is never right"
    assert gain.absolute_improvement.value == 0.5


def test_a_scratch_model_hardly_above_chance_leaves_the_gain_without_an_end() -> None:
    gain = transfer_gain(first(90, 100), first(55, 100), classes=2)
    assert gain.improvement_over_chance.value == pytest.approx(7.0)
    assert (gain.improvement_over_chance.low, gain.improvement_over_chance.high) == (None, None)
    assert (
        gain.improvement_over_chance.undefined_because
        == "in too many resamples, training from scratch is not above 1/2"
    )


def test_resamples_at_chance_push_the_end_outwards_instead_of_being_forgotten() -> None:
    # At 62 of 100 about one resample in a hundred is at chance or below: too few to leave the interval out.
    scratch = np.random.default_rng(0).permutation(first(62, 100))
    measures = [
        transfer_gain(first(90, 100), scratch, classes=2, seed=seed).improvement_over_chance for seed in range(15)
    ]
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
    assert (gain.relative_improvement.value, gain.relative_improvement.low) == (0.0, None)
    assert gain.relative_improvement.undefined_because == "all resamples give the same value"


def test_one_patient_gives_no_interval() -> None:
    gain = transfer_gain(first(8, 10), first(6, 10), classes=2, groups=np.zeros(10, int))
    for measure in (getattr(gain, field.name) for field in fields(gain)):
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
