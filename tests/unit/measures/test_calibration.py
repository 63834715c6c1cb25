import numpy as np
import pytest
import sklearn.metrics
from scipy.stats import binned_statistic

from vitrail.measures.calibration import (
    MOST_SOFTENED,
    brier_score,
    expected_calibration_error,
    fitted_temperature,
    log_loss,
    log_losses,
)


def two_classes(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.where(right, 0, 1), np.stack([confidence, 1 - confidence], axis=1)


def drawn(n: int, *, too_sure: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5 + max(0, too_sure), 1 + min(0, too_sure), n)
    return two_classes(confidence, random.random(n) < confidence - too_sure)


def test_log_loss_agrees_with_scikit_learn_also_for_certain_mistakes() -> None:
    random = np.random.default_rng(0)
    labels, probabilities = random.integers(0, 3, 50), random.dirichlet(np.ones(3), 50)
    probabilities[0] = np.eye(3)[(labels[0] + 1) % 3]
    measure = log_loss(labels, probabilities)
    assert measure.value == pytest.approx(sklearn.metrics.log_loss(labels, probabilities))
    assert measure.low < measure.value < measure.high


def test_log_loss_of_guessing_is_the_logarithm_of_the_number_of_classes() -> None:
    assert log_loss(np.array([0, 1, 2, 3]), np.full((4, 4), 0.25)).value == pytest.approx(np.log(4))


def test_full_confidence_lies_in_the_last_bin() -> None:
    labels, probabilities = two_classes(np.array([0.95, 1.0]), np.array([True, False]))
    assert expected_calibration_error(labels, probabilities, bins=10).error.value == pytest.approx(0.475)


def test_the_error_by_hand_with_edges_that_belong_to_the_bin_below() -> None:
    confidence, right = np.array([0.6, 0.6, 0.65, 0.9, 0.9]), np.array([1, 0, 1, 1, 1], bool)
    labels, probabilities = two_classes(confidence, right)
    # (0.5, 0.6]: gap of the sums 1 - 1.2; (0.6, 0.7]: 1 - 0.65; (0.8, 0.9]: 2 - 1.8
    calibration = expected_calibration_error(labels, probabilities, bins=10)
    assert calibration.error.value == pytest.approx((0.2 + 0.35 + 0.2) / 5)
    assert calibration.mean_confidence == pytest.approx(confidence.mean())


@pytest.mark.parametrize("bins", [2, 10, 15])
def test_the_error_is_that_of_an_independent_reckoning_on_random_answers(bins: int) -> None:
    random = np.random.default_rng(bins)
    labels, probabilities = random.integers(0, 4, 300), random.dirichlet(np.full(4, 0.7), 300)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    sums = [binned_statistic(confidence, each, "sum", bins, range=(0, 1)).statistic for each in (right, confidence)]
    expected = np.abs(sums[0] - sums[1]).sum() / 300
    assert expected_calibration_error(labels, probabilities, bins=bins).error.value == pytest.approx(expected)


def test_the_confidence_is_that_of_the_answer_and_not_of_the_second_class() -> None:
    # torchmetrics' documented example of two classes is about P(y = 1): its bins hold 0.25, and answers of "no" too.
    second, labels = np.array([0.25, 0.25, 0.55, 0.75, 0.75]), np.array([0, 0, 1, 1, 1])
    found = expected_calibration_error(labels, np.stack([1 - second, second], axis=1), bins=2).error.value
    assert found == pytest.approx(1 - np.mean([0.75, 0.75, 0.55, 0.75, 0.75]))  # all are right, all in the upper bin


def test_single_precision_probabilities_are_welcome() -> None:
    labels, probabilities = drawn(200, too_sure=0.0, seed=3)
    single = expected_calibration_error(labels, probabilities.astype(np.float32))
    assert single.error.value == pytest.approx(expected_calibration_error(labels, probabilities).error.value, abs=1e-3)


def test_a_calibrated_model_is_accused_one_time_in_twenty() -> None:
    calibrations = [expected_calibration_error(*drawn(150, too_sure=0.0, seed=seed), seed=seed) for seed in range(150)]
    assert np.mean([each.verdict != "not enough evidence" for each in calibrations]) < 0.1
    assert np.mean([each.error.low == 0 for each in calibrations]) > 0.9


@pytest.mark.parametrize(("too_sure", "verdict"), [(0.12, "over-confident"), (-0.12, "under-confident")])
def test_the_direction_of_a_fault_is_named(too_sure: float, verdict: str) -> None:
    assert expected_calibration_error(*drawn(1000, too_sure=too_sure, seed=1)).verdict == verdict


def test_the_interval_of_the_error_covers_the_truth() -> None:
    errors = [expected_calibration_error(*drawn(400, too_sure=0.1, seed=seed), seed=seed).error for seed in range(100)]
    assert np.mean([error.low <= 0.1 <= error.high for error in errors]) > 0.92


def test_copies_of_the_same_patient_are_no_evidence() -> None:
    labels, probabilities = (np.repeat(part, 40, axis=0) for part in drawn(8, too_sure=0.0, seed=5))
    assert expected_calibration_error(labels, probabilities).verdict != "not enough evidence"
    grouped = expected_calibration_error(labels, probabilities, groups=np.repeat(np.arange(8), 40))
    assert grouped.verdict == "not enough evidence" and grouped.error.low == 0


def test_no_images_make_calibration_undefined() -> None:
    calibration = expected_calibration_error(np.array([], dtype=np.int64), np.zeros((0, 2)))
    assert calibration.error.value is None and calibration.mean_confidence is None
    assert log_loss(np.array([], dtype=np.int64), np.zeros((0, 2))).undefined_because == "there are no images"


def test_the_temperature_is_that_of_a_grid_search_and_never_below_one():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    logits = generator.normal(size=(200, 3)) + 2 * np.eye(3)[labels]
    for sharpened in (0.3, 1.0, 4.0, 10.0):
        temperature, loss = fitted_temperature(sharpened * logits, labels)
        grid = np.exp(np.linspace(0, np.log(20), 4001))
        losses = [log_losses(sharpened * logits / each, labels).mean() for each in grid]
        assert temperature == pytest.approx(grid[int(np.argmin(losses))], rel=2e-3)
        assert loss == pytest.approx(min(losses), abs=1e-6)
    assert fitted_temperature(0.3 * logits, labels)[0] == 1.0


def test_the_temperature_of_equally_sure_answers_is_known_and_scales_with_the_logits():
    logits, labels = np.tile([2.0, 0.0], (8, 1)), np.array([0, 0, 0, 0, 0, 0, 1, 1])
    assert fitted_temperature(logits, labels)[0] == pytest.approx(2 / np.log(3), abs=1e-6)  # 1.820478: 75 % are right
    for scale in (2.0, 3.0, 5.0):
        assert fitted_temperature(scale * logits, labels)[0] == pytest.approx(scale * 2 / np.log(3), rel=1e-6)
    assert fitted_temperature(logits, np.arange(8) % 2)[0] == MOST_SOFTENED  # half are right: nothing is soft enough


def test_log_losses_are_those_of_scikit_learn_image_by_image():
    generator = np.random.default_rng(1)
    labels, logits = np.array([0, 1, 2, 1]), generator.normal(size=(4, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert log_losses(logits, labels).mean() == pytest.approx(sklearn.metrics.log_loss(labels, probabilities))
    assert log_losses(np.stack([logits, 2 * logits]), labels).shape == (2, 4)


def test_the_brier_score_is_scikit_learns_for_two_classes_and_for_many():
    random = np.random.default_rng(4)
    for k in (2, 5):
        labels, probabilities = random.integers(0, k, 80), random.dirichlet(np.ones(k), 80)
        measure = brier_score(labels, probabilities)
        expected = sklearn.metrics.brier_score_loss(labels, probabilities if k > 2 else probabilities[:, 1])
        assert measure.value == pytest.approx(expected)
        assert measure.low < measure.value < measure.high
    assert brier_score(np.zeros(0, int), np.zeros((0, 2))).undefined_because == "there are no images"
