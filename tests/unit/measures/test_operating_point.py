import numpy as np
import pytest
import sklearn.metrics

from vitrail.basics.errors import InputError
from vitrail.measures.operating_point import (
    OperatingPoint,
    operating_point,
    roc_curve,
    threshold_for_costs,
    threshold_for_sensitivity,
    threshold_for_specificity,
)


def drawn(n: int, *, seed: int, decimals: int = 12) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    positive = random.random(n) < 0.4
    return positive, np.round(1 / (1 + np.exp(-random.normal(positive * 1.5 - 0.5, 1))), decimals)


def at(positive: np.ndarray, scores: np.ndarray, threshold: float) -> OperatingPoint:
    return operating_point(positive, scores >= threshold, threshold=threshold)


@pytest.mark.parametrize("decimals", [12, 1])
def test_the_curve_is_scikit_learns(decimals: int) -> None:
    for seed in range(10):
        positive, scores = drawn(60, seed=seed, decimals=decimals)
        every = np.stack(sklearn.metrics.roc_curve(positive, scores, drop_intermediate=False), axis=1)
        found = roc_curve(positive, scores)
        ends = [np.inf, *(each.threshold for each in found[1:])]
        rates = [(p.false_positive_rate, p.true_positive_rate, end) for p, end in zip(found, ends, strict=True)]
        assert {tuple(np.round(each, 9)) for each in rates} <= {tuple(np.round(each, 9)) for each in every}
        area = np.trapezoid([each[1] for each in rates], [each[0] for each in rates])
        assert area == pytest.approx(sklearn.metrics.roc_auc_score(positive, scores))
        assert len(found) <= len(sklearn.metrics.roc_curve(positive, scores)[0])
        assert (found[0].threshold, rates[0][:2], rates[-1][:2]) == (None, (0, 0), (1, 1))


def test_a_long_curve_is_thinned_and_keeps_its_area_and_ends() -> None:
    positive, scores = drawn(20_000, seed=1)
    found = roc_curve(positive, scores)
    false, true = ([getattr(each, name) for each in found] for name in ("false_positive_rate", "true_positive_rate"))
    assert 100 < len(found) <= 200
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true, false) == pytest.approx(sklearn.metrics.roc_auc_score(positive, scores), abs=1e-3)


def test_shares_at_a_threshold_are_scikit_learns() -> None:
    positive, scores = drawn(80, seed=2)
    called = scores >= 0.4
    point = operating_point(positive, called, threshold=0.4)
    assert point.sensitivity.value == pytest.approx(sklearn.metrics.recall_score(positive, called))
    assert point.specificity.value == pytest.approx(sklearn.metrics.recall_score(~positive, ~called))
    assert point.precision.value == pytest.approx(sklearn.metrics.precision_score(positive, called))
    assert point.sensitivity.n == positive.sum() and point.sensitivity.method == "Wilson"
    assert point.prevalence == pytest.approx(positive.mean())


def test_a_class_without_images_leaves_its_share_undefined() -> None:
    point = operating_point(np.zeros(4, bool), np.zeros(4, bool), threshold=0.5)
    assert point.sensitivity.undefined_because == "there is no positive image"
    assert point.precision.undefined_because == "no image was called positive"
    assert point.specificity.value == 1


@pytest.mark.parametrize("decimals", [12, 1])
def test_thresholds_are_the_best_that_keep_the_promise(decimals: int) -> None:
    for seed in range(30):
        positive, scores = drawn(50, seed=seed, decimals=decimals)
        tried = [at(positive, scores, each) for each in [*np.unique(scores), 2.0]]
        point = at(positive, scores, threshold_for_sensitivity(positive, scores, 0.9))
        assert point.sensitivity.value >= 0.9
        best = max(each.specificity.value for each in tried if each.sensitivity.value >= 0.9)
        assert point.specificity.value == best
        point = at(positive, scores, threshold_for_specificity(positive, scores, 0.9))
        assert point.specificity.value >= 0.9
        assert point.sensitivity.value == max(e.sensitivity.value for e in tried if e.specificity.value >= 0.9)


@pytest.mark.parametrize("prevalence", [None, 0.02])
def test_no_other_threshold_costs_less(prevalence: float | None) -> None:
    for seed in range(30):
        positive, scores = drawn(50, seed=seed, decimals=2)
        share = positive.mean() if prevalence is None else prevalence

        def cost(threshold: float, positive=positive, scores=scores, share=share) -> float:
            point = at(positive, scores, threshold)
            return share * 10 * (1 - point.sensitivity.value) + (1 - share) * (1 - point.specificity.value)

        chosen = threshold_for_costs(positive, scores, missed=10, prevalence=prevalence)
        assert cost(chosen) == pytest.approx(min(cost(each) for each in [0, *np.unique(scores), 2.0]))


def test_calibrated_probabilities_give_the_threshold_of_the_costs_alone() -> None:
    random = np.random.default_rng(5)
    scores = random.random(200_000)
    positive = random.random(200_000) < scores
    assert threshold_for_costs(positive, scores, missed=4) == pytest.approx(1 / 5, abs=0.02)


def test_a_threshold_lies_between_scores_so_that_rounding_moves_no_image() -> None:
    positive, scores = np.array([False, True]), np.array([0.2, 0.6])
    assert threshold_for_sensitivity(positive, scores, 1.0) == pytest.approx(0.4)
    assert threshold_for_specificity(positive, scores, 0.0) == pytest.approx(0.1)
    assert threshold_for_costs(positive, scores, false_alarm=1e9) == pytest.approx(0.4)


def test_one_class_gives_no_threshold() -> None:
    with pytest.raises(InputError, match="there is no negative image among 3"):
        threshold_for_costs(np.ones(3, bool), np.full(3, 0.5))
