import json

import numpy as np
import pytest

from vitrail.basics.errors import InputError, SettingsError
from vitrail.measures.learning_curve import LearningCurve, analyse_learning_curve, curve_measures


def analysed(loss: list[float], **settings) -> LearningCurve:
    accuracy = np.linspace(0.5, 0.9, len(loss))
    return analyse_learning_curve(accuracy, np.array(loss), final_training_loss=None, **settings)


def test_a_training_that_learns_by_heart_is_told_in_four_numbers() -> None:
    accuracy = np.array([0.50, 0.75, 0.76, 0.79, 0.80, 0.78, 0.78])
    loss = np.array([0.70, 0.60, 0.50, 0.54, 0.56, 0.60, 0.70])
    curve = analyse_learning_curve(accuracy, loss, final_training_loss=0.3)
    # 95 % of 0.80 is 0.76; 10 % above the minimum of 0.50 is 0.55, passed for good in epoch 5.
    assert (curve.convergence_epoch, curve.overfitting_start, curve.max_val_acc) == (3, 5, 0.8)
    assert curve.final_train_val_gap == pytest.approx(0.4)


def test_the_result_is_plain_json_under_its_four_names() -> None:
    fields = analysed([0.7, 0.6, 0.5]).as_json()
    assert json.loads(json.dumps(fields)) == {
        "convergence_epoch": 3,
        "overfitting_start": None,
        "final_train_val_gap": None,
        "max_val_acc": 0.9,
    }


@pytest.mark.parametrize(
    ("loss", "start"),
    [
        ([0.7, 0.5, 0.9, 0.5, 0.5], None),  # one noisy epoch
        ([0.7, 0.5, 0.9, 0.9, 0.5], None),  # two
        ([0.7, 0.5, 0.9, 0.9, 0.9, 0.5], 3),  # three in a row, though it comes back
        ([0.7, 0.5, 0.5, 0.5, 0.9], None),  # the last epoch alone
        ([0.7, 0.5, 0.5, 0.6, 0.6], 4),  # until the end
        ([0.7, 0.5, 0.9, 0.5, 0.6, 0.6, 0.6], 5),  # the noise before is not its start
        ([0.5, 0.54, 0.54, 0.54, 0.54], None),  # within 10 %
        ([0.5, 0.54, 0.58, 0.62, 0.66], 3),  # slowly, measured from the minimum
        ([0.5, 0.6, 0.4, 0.45, 0.45, 0.45], 4),  # the minimum so far, not the first one
        ([0.9], None),
        ([0.9, 0.8, 0.7, 0.6], None),
    ],
)
def test_only_a_sustained_rise_is_overfitting(loss: list[float], start: int | None) -> None:
    assert analysed(loss).overfitting_start == start


def test_how_long_and_how_far_a_rise_must_go_can_be_set() -> None:
    loss = [0.5, 0.6, 0.6, 0.5, 0.5]
    assert analysed(loss, sustained=2).overfitting_start == 2
    assert analysed(loss, sustained=2, growth=0.3).overfitting_start is None


def test_a_model_that_is_never_right_has_not_converged() -> None:
    curve = analyse_learning_curve(np.zeros(3), np.ones(3), final_training_loss=None)
    assert (curve.convergence_epoch, curve.max_val_acc) == (None, 0.0)


@pytest.mark.parametrize(
    ("accuracy", "loss", "training_loss", "message"),
    [
        ([], [], None, "there is no validation accuracy: the learning curve has no epochs\nhint: train for at least"),
        (
            [0.5, 0.6],
            [0.7, np.nan],
            None,
            "the validation loss of epoch 2 is nan, expected a finite number, 0 or more\n",
        ),
        ([0.5], [np.inf], None, "the validation loss of epoch 1 is inf, expected a finite number"),
        (
            [np.nan],
            [0.5],
            None,
            "the validation accuracy of epoch 1 is nan, expected a share from 0 to 1\nhint: the tr",
        ),
        (
            [50.0],
            [0.5],
            None,
            "the validation accuracy of epoch 1 is 50.0, expected a share from 0 to 1\nhint: give acc",
        ),
        (
            [0.5],
            [0.5],
            np.nan,
            "the training loss of the last epoch is nan, expected a finite number, 0 or more\nhint:",
        ),
    ],
)
def test_what_was_not_measured_is_refused_with_its_epoch(accuracy, loss, training_loss, message: str) -> None:
    with pytest.raises(InputError) as caught:
        analyse_learning_curve(np.array(accuracy), np.array(loss), final_training_loss=training_loss)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share_of_best": 1.5}, "share_of_best is 1.5, expected above 0 and at most 1\nhint: leave it at 0.95"),
        ({"growth": 0.0}, "growth is 0.0, expected above 0\nhint: leave it at 0.1, that is 10 %"),
        ({"sustained": 1}, "sustained is 1, expected at least 2 epochs\nhint: leave it at 3"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        analysed([0.5], **settings)
    assert str(caught.value) == message


def answers(shares: list[float], images: int = 100) -> np.ndarray:
    return np.array([np.arange(images) < round(share * images) for share in shares])


def test_the_figures_of_a_curve_have_their_n_and_interval() -> None:
    right, losses, training = answers([0.5, 0.8, 0.81]), np.linspace(0, 1, 100), np.linspace(0, 0.5, 40)
    found = curve_measures(right, losses, training)
    assert found["max_val_acc"].text() == "81.0 % (72.2–87.5, n = 100)"
    converged = found["convergence_epoch"]
    assert (converged.value, converged.low, converged.high, converged.n) == (2, 2, 2, 100)
    gap = found["final_train_val_gap"]
    assert gap.value == pytest.approx(losses.mean() - training.mean())
    assert (gap.n, gap.low < gap.value < gap.high) == (140, True)
    assert set(curve_measures(right, losses, None)) == {"max_val_acc", "convergence_epoch"}


def test_where_accuracy_rises_slowly_the_epoch_of_convergence_is_uncertain() -> None:
    random = np.random.default_rng(0)
    right = random.random((6, 60)) < np.array([0.5, 0.7, 0.74, 0.76, 0.78, 0.8])[:, None]
    found = curve_measures(right, np.ones(60), None, seed=3)["convergence_epoch"]
    assert found.low <= found.value <= found.high and found.high > found.low
    assert found == curve_measures(right, np.ones(60), None, seed=3)["convergence_epoch"]


def test_images_of_one_patient_count_together() -> None:
    right, groups = np.repeat(answers([0.5, 0.8], images=10), 10, axis=1), np.repeat(np.arange(10), 10)
    alone, together = (
        curve_measures(right, np.ones(100), None),
        curve_measures(right, np.ones(100), None, groups=groups),
    )
    width = {name: each["max_val_acc"].high - each["max_val_acc"].low for name, each in
             (("alone", alone), ("together", together))}  # fmt: skip
    assert width["together"] > 2 * width["alone"]


def test_a_model_that_is_never_right_has_no_epoch_of_convergence() -> None:
    found = curve_measures(np.zeros((3, 20), dtype=bool), np.ones(20), np.ones(20))
    assert "convergence_epoch" not in found and found["max_val_acc"].value == 0
