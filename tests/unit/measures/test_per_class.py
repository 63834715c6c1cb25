import numpy as np
import pytest
import sklearn.metrics

from vitrail.measures.intervals import wilson_limits
from vitrail.measures.per_class import per_class

NAMES = ["ant", "bee", "wasp", "fly"]


def test_recall_precision_and_f1_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, 4, 300), random.integers(0, 4, 300)
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(labels, predicted)
    for k, quality in enumerate(per_class(labels, predicted, classes=NAMES)):
        assert (quality.name, quality.support) == (NAMES[k], support[k])
        measured = (quality.precision.value, quality.recall.value, quality.f1.value)
        assert measured == pytest.approx((precision[k], recall[k], f1[k]))


def test_intervals_are_wilsons_and_that_of_f1_follows_from_the_jaccard_share() -> None:
    labels, predicted = np.array([0] * 10 + [1] * 10), np.array([0] * 8 + [1] * 9 + [0] * 3)
    ant = per_class(labels, predicted, classes=NAMES[:2])[0]
    assert (ant.recall.low, ant.recall.high) == pytest.approx(wilson_limits(0.8, 10))
    assert (ant.precision.low, ant.precision.high) == pytest.approx(wilson_limits(8 / 11, 11))
    low, high = wilson_limits(8 / 13, 13)
    assert (ant.f1.low, ant.f1.high, ant.f1.n) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high), 13))


def test_the_interval_of_f1_covers_the_truth() -> None:
    random, hits = np.random.default_rng(1), 0
    for _ in range(300):
        labels = (random.random(150) < 0.3).astype(int)
        predicted = np.where(random.random(150) < 0.85, labels, 1 - labels)
        f1 = per_class(labels, predicted, classes=["no", "yes"])[1].f1
        truth = 2 * 0.3 * 0.85 / (0.3 + 0.3 * 0.85 + 0.7 * 0.15)
        hits += f1.low <= truth <= f1.high
    assert 0.915 < hits / 300 < 0.985


def test_what_cannot_be_counted_is_undefined_and_says_why() -> None:
    ant, bee, wasp, fly = per_class(np.array([0, 1]), np.array([0, 2]), classes=NAMES)
    assert bee.precision.undefined_because == "'bee' was never predicted" and bee.recall.value == 0
    assert wasp.recall.undefined_because == "no image of class 'wasp'" and wasp.precision.value == 0
    assert fly.f1.undefined_because == "'fly' neither occurs nor is predicted" and fly.f1.value is None
    assert ant.f1.value == 1


def test_groups_change_the_intervals_and_not_the_values() -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 3, 240)
    predicted = np.where(np.repeat(random.random(24) < 0.7, 10), labels, (labels + 1) % 3)
    groups = np.repeat(np.arange(24), 10)
    plain = per_class(labels, predicted, classes=NAMES[:3])
    grouped = per_class(labels, predicted, classes=NAMES[:3], groups=groups)
    for before, after in zip(plain, grouped, strict=True):
        for field in ("recall", "precision", "f1"):
            one, other = getattr(before, field), getattr(after, field)
            assert other.value == pytest.approx(one.value) and other.method == "cluster bootstrap"
            assert other.low <= other.value <= other.high
            assert other.high - other.low > one.high - one.low


def test_a_class_seen_in_one_patient_only_has_no_interval() -> None:
    labels, groups = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    bee = per_class(labels, np.array([0, 0, 0, 0, 1, 0]), classes=NAMES[:2], groups=groups)[1]
    assert (bee.recall.value, bee.recall.low) == (0.5, None)
    assert bee.recall.undefined_because == "all these images belong to one group"
