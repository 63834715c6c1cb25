import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from vitrail.measures.classification import (
    accuracy,
    accuracy_above_majority,
    balanced_accuracy,
    confusion_matrix,
    majority_baseline,
)
from vitrail.measures.intervals import wilson_limits


def drawn(n: int, classes: int, *, skill: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    return labels, np.where(random.random(n) < skill, labels, random.integers(0, classes, n))


def test_accuracy_and_balanced_accuracy_and_confusion_agree_with_scikit_learn() -> None:
    labels, predicted = drawn(500, 5, skill=0.6, seed=0)
    assert accuracy(labels, predicted).value == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    expected = sklearn.metrics.balanced_accuracy_score(labels, predicted)
    assert balanced_accuracy(labels, predicted).value == pytest.approx(expected)
    matrix = confusion_matrix(labels, predicted, classes=5)
    assert np.array_equal(matrix, sklearn.metrics.confusion_matrix(labels, predicted))


def test_the_confusion_matrix_keeps_classes_that_do_not_occur() -> None:
    assert confusion_matrix(np.array([0]), np.array([2]), classes=3).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_the_majority_baseline_is_the_share_of_the_most_frequent_class() -> None:
    measure = majority_baseline(np.array([2, 2, 1, 2, 0]))
    assert (measure.name, measure.value, measure.n) == ("majority class", 0.6, 5)


def test_balanced_accuracy_ignores_classes_without_images_and_counts_rare_ones_fully() -> None:
    labels = np.array([0] * 98 + [3] * 2)
    assert balanced_accuracy(labels, np.zeros(100, int)).value == 0.5


def test_balanced_accuracy_of_one_class_has_wilsons_interval() -> None:
    labels = np.zeros(10, int)
    measure = balanced_accuracy(labels, np.array([0] * 9 + [1]))
    assert (measure.low, measure.high) == pytest.approx(wilson_limits(0.9, 10))


def test_balanced_accuracy_is_not_certain_when_all_is_right() -> None:
    labels = np.repeat([0, 1], [10, 3])
    measure = balanced_accuracy(labels, labels)
    expected = 1 - np.hypot(1 - wilson_limits(1.0, 10)[0], 1 - wilson_limits(1.0, 3)[0]) / 2
    assert (measure.value, measure.low, measure.high) == (1.0, pytest.approx(expected), 1.0)


def test_always_the_same_answer_is_not_certainly_half_right() -> None:
    labels, groups = np.repeat([0, 1], 12), np.arange(24) // 4
    measure = balanced_accuracy(labels, np.zeros(24, int), groups=groups)
    assert measure.value == 0.5 and (measure.low, measure.high) == pytest.approx(wilson_limits(0.5, 6))


def test_the_interval_of_balanced_accuracy_covers_the_truth() -> None:
    random, truth, sizes, hits = np.random.default_rng(0), np.array([0.95, 0.7, 0.85]), [60, 20, 30], 0
    labels = np.repeat([0, 1, 2], sizes)
    for _ in range(400):
        right = random.random(110) < np.repeat(truth, sizes)
        measure = balanced_accuracy(labels, np.where(right, labels, (labels + 1) % 3))
        hits += measure.low <= truth.mean() <= measure.high
    assert 0.915 < hits / 400 < 0.985


@pytest.mark.parametrize("measure", [accuracy, balanced_accuracy])
def test_intervals_over_patients_cover_the_truth_where_wilson_does_not(measure) -> None:
    random, covered, covered_plain = np.random.default_rng(1), 0, 0
    groups = np.repeat(np.arange(40), 8)
    for trial in range(120):
        labels = np.repeat(np.arange(40) % 2, 8)
        right = np.repeat(random.random(40) < 0.8, 8) & (random.random(320) < 0.95)
        predicted = np.where(right, labels, 1 - labels)
        grouped = measure(labels, predicted, groups=groups, seed=trial)
        plain = measure(labels, predicted)
        assert grouped.value == pytest.approx(plain.value) and grouped.method == "cluster bootstrap"
        covered += grouped.low <= 0.76 <= grouped.high
        covered_plain += plain.low <= 0.76 <= plain.high
    assert covered / 120 > 0.88 and covered_plain / 120 < 0.7


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (5, 5), (9, 1), (25, 12), (3, 11), (400, 340)])
def test_the_verdict_is_the_exact_mcnemar_test(better: int, worse: int) -> None:
    labels = np.array([0] * (better + worse + 1) + [1] * better)
    predicted = np.array([0] * (better + 1) + [1] * worse + [1] * better)
    verdict = accuracy_above_majority(labels, predicted)
    expected = scipy.stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert (verdict.better_on, verdict.worse_on) == (better, worse)
    assert verdict.p_value == pytest.approx(expected)
    sure = expected < 0.05
    assert verdict.decision == (("better" if better > worse else "worse") if sure else "not enough evidence")


def test_ten_images_of_one_patient_are_no_ten_witnesses() -> None:
    labels, groups = np.repeat([0, 1, 0, 1, 0, 0], 10), np.repeat(np.arange(6), 10)
    predicted = labels.copy()
    assert accuracy_above_majority(labels, predicted).decision == "better"
    verdict = accuracy_above_majority(labels, predicted, groups=groups)
    assert verdict.decision == "not enough evidence"
    assert verdict.p_value == pytest.approx(0.5, abs=0.03)  # two patients speak: p = 2 / 2**2


def test_the_verdict_over_groups_is_wrong_as_rarely_as_it_promises() -> None:
    random, groups, alarms = np.random.default_rng(3), np.repeat(np.arange(30), 4), 0
    for trial in range(200):
        labels = np.repeat([0, 1], 60)
        right = np.repeat(random.random(30) < 0.5, 4)
        verdict = accuracy_above_majority(labels, np.where(right, labels, 1 - labels), groups=groups, seed=trial)
        alarms += verdict.decision != "not enough evidence"
    assert alarms / 200 < 0.1


def test_the_same_seed_gives_the_same_interval() -> None:
    labels, predicted = drawn(60, 3, skill=0.5, seed=4)
    groups = np.sqrt(np.arange(60)).astype(int)
    assert accuracy(labels, predicted, groups=groups, seed=1) == accuracy(labels, predicted, groups=groups, seed=1)
    assert accuracy(labels, predicted, groups=groups, seed=1) != accuracy(labels, predicted, groups=groups, seed=2)


def test_no_images_make_everything_undefined() -> None:
    nothing = np.array([], dtype=np.int64)
    for measure in (accuracy(nothing, nothing), balanced_accuracy(nothing, nothing), majority_baseline(nothing)):
        assert measure.value is None and measure.n == 0
    assert accuracy_above_majority(nothing, nothing).decision == "not enough evidence"
