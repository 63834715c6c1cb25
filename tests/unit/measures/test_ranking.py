import numpy as np
import pytest
import sklearn.metrics

from vitrail.measures.ranking import auc_pseudo_values, macro_roc_auc, newcombe_limits, roc_auc


def test_auc_agrees_with_scikit_learn_with_and_without_ties() -> None:
    random = np.random.default_rng(0)
    positive = random.random(200) < 0.3
    scores = random.normal(size=200) + positive
    for ranked in (scores, np.round(scores), np.zeros(200)):
        assert roc_auc(positive, ranked).value == pytest.approx(sklearn.metrics.roc_auc_score(positive, ranked))


def test_auc_by_hand() -> None:
    measure = roc_auc(np.array([True, True, False, False, False]), np.array([0.9, 0.5, 0.5, 0.4, 0.3]))
    assert measure.value == pytest.approx(5.5 / 6)


def test_delongs_variance_is_that_of_the_placement_values() -> None:
    # Placements by hand: positives beat (1, 1, 1/2, 1) of the negatives, negatives are beaten by (1, 3/4) of them.
    measure = roc_auc(np.array([1, 1, 1, 1, 0, 0], bool), np.array([9.0, 8, 4, 7, 2, 5]))
    auc, variance = 0.875, np.var([1, 1, 0.5, 1], ddof=1) / 4 + np.var([1, 0.75], ddof=1) / 2
    half = 1.959963984540054 * np.sqrt(variance) / (auc * (1 - auc))
    expected = 1 / (1 + np.exp(-(np.log(auc / (1 - auc)) + half * np.array([-1, 1]))))
    assert (measure.value, measure.method) == (auc, "DeLong")
    assert (measure.low, measure.high) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(("truth", "shift"), [(0.76025, 1.0), (0.92135, 2.0)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(truth: float, shift: float) -> None:
    random, hits = np.random.default_rng(1), 0
    positive = np.arange(90) < 30
    for _ in range(500):
        measure = roc_auc(positive, random.normal(size=90) + shift * positive)
        hits += measure.low <= truth <= measure.high
    assert 0.91 < hits / 500 < 0.98


def test_a_perfect_ranking_is_not_certain() -> None:
    measure = roc_auc(np.arange(40) < 20, -np.arange(40.0))
    assert (measure.value, measure.high, measure.method) == (1.0, 1.0, "Newcombe")
    assert measure.low == pytest.approx(newcombe_limits(1.0, 20, 20)[0]) and 0.85 < measure.low < 0.95


def test_newcombes_limits_solve_their_equation_and_mirror() -> None:
    low, high = newcombe_limits(0.8, 15, 25)
    for t in (low, high):
        variance = t * (1 - t) * (1 + 19 * ((1 - t) / (2 - t) + t / (1 + t))) / (15 * 25)
        assert abs(0.8 - t) == pytest.approx(1.959963984540054 * np.sqrt(variance))
    assert newcombe_limits(0.2, 15, 25) == pytest.approx((1 - high, 1 - low))
    assert newcombe_limits(0.0, 15, 25)[0] == 0 and newcombe_limits(1.0, 15, 25)[1] == 1


@pytest.mark.parametrize("scores", [np.zeros(20), np.arange(20.0)])
def test_equal_scores_and_single_positives_get_an_interval_too(scores: np.ndarray) -> None:
    positive = np.arange(20) == 10
    measure = roc_auc(positive, scores)
    assert measure.method == "Newcombe" and measure.low < measure.value < measure.high


def test_auc_without_one_of_the_classes_is_undefined() -> None:
    assert roc_auc(np.ones(3, bool), np.arange(3.0)).undefined_because == "there is no negative image"
    assert roc_auc(np.zeros(3, bool), np.arange(3.0)).undefined_because == "there is no positive image"


def test_groups_give_a_cluster_bootstrap_that_matches_delong_when_every_image_is_alone() -> None:
    random = np.random.default_rng(2)
    positive = random.random(300) < 0.5
    scores = random.normal(size=300) + positive
    plain, grouped = roc_auc(positive, scores), roc_auc(positive, scores, groups=np.arange(300))
    assert (grouped.low, grouped.high) == pytest.approx((plain.low, plain.high), abs=0.012)
    wide = roc_auc(positive, scores, groups=np.arange(300) // 30)
    assert wide.method == "cluster bootstrap"


def test_a_perfect_ranking_over_groups_is_not_certain() -> None:
    measure = roc_auc(np.arange(40) < 20, -np.arange(40.0), groups=np.arange(40) // 5)
    assert (measure.low, measure.method) == (pytest.approx(newcombe_limits(1.0, 4, 4)[0]), "Newcombe on groups")


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def drawn(n: int, K: int, skill: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = random.permutation(np.arange(n) % K)
    return labels, softmax(random.normal(size=(n, K)) + skill * np.eye(K)[labels])


def test_the_mean_over_classes_agrees_with_scikit_learn() -> None:
    labels, probabilities = drawn(120, 4, 1.5, np.random.default_rng(3))
    expected = sklearn.metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    measure = macro_roc_auc(labels, probabilities, classes=list("abcd"))
    assert measure.value == pytest.approx(expected)
    assert measure.low < expected < measure.high and measure.method == "bootstrap"


def test_ties_count_half_in_the_mean_too() -> None:
    labels, probabilities = drawn(120, 4, 1.5, np.random.default_rng(6))
    probabilities = np.round(probabilities, 1)
    expected = np.mean([sklearn.metrics.roc_auc_score(labels == k, probabilities[:, k]) for k in range(4)])
    assert macro_roc_auc(labels, probabilities, classes=list("abcd")).value == pytest.approx(expected)


def test_equal_scores_over_groups_are_not_certain() -> None:
    measure = roc_auc(np.arange(40) < 20, np.zeros(40), groups=np.arange(40) // 5)
    assert (measure.low, measure.value) == (pytest.approx(newcombe_limits(0.5, 4, 4)[0]), 0.5)


def test_the_linearised_bootstrap_agrees_with_the_full_one(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities = drawn(600, 4, 1.5, np.random.default_rng(4))
    full = macro_roc_auc(labels, probabilities, classes=list("abcd"), seed=1)
    monkeypatch.setattr("vitrail.measures.ranking.LINEAR_ABOVE", 0)
    linear = macro_roc_auc(labels, probabilities, classes=list("abcd"), seed=1)
    assert (linear.low, linear.high) == pytest.approx((full.low, full.high), abs=0.002)
    assert linear.value == full.value and linear.low != full.low


def test_the_mean_of_the_pseudo_values_is_the_auc_and_their_spread_is_delongs() -> None:
    labels, probabilities = drawn(200, 4, 1.5, np.random.default_rng(7))
    expected = macro_roc_auc(labels, probabilities, classes=list("abcd")).value
    assert auc_pseudo_values(labels, probabilities).mean() == pytest.approx(expected)

    random = np.random.default_rng(8)
    positive = random.random(300) < 0.3
    scores = np.round(random.normal(size=300) + positive, 1)
    parts = auc_pseudo_values(positive.astype(np.int64), np.stack([-scores, scores], axis=1))
    assert parts.mean() == pytest.approx(sklearn.metrics.roc_auc_score(positive, scores))
    ranked = (scores[positive][:, None] > scores[~positive]) + (scores[positive][:, None] == scores[~positive]) / 2
    variance = ranked.mean(1).var(ddof=1) / positive.sum() + ranked.mean(0).var(ddof=1) / (~positive).sum()
    assert parts.std() / np.sqrt(300) == pytest.approx(np.sqrt(variance), rel=0.01)


def test_the_interval_of_the_mean_covers_the_truth() -> None:
    random = np.random.default_rng(5)
    labels, probabilities = drawn(60_000, 3, 1.5, random)
    truth = macro_roc_auc(labels, probabilities, classes=list("abc")).value
    measures = [macro_roc_auc(*drawn(90, 3, 1.5, random), classes=list("abc"), seed=trial) for trial in range(150)]
    assert 0.88 < np.mean([measure.low <= truth <= measure.high for measure in measures]) <= 0.99


def test_the_mean_is_undefined_when_a_class_is_absent_and_names_it() -> None:
    measure = macro_roc_auc(np.array([0, 1, 1]), np.full((3, 3), 1 / 3), classes=["ant", "bee", "wasp"])
    assert measure.value is None and measure.undefined_because == "no image of class 'wasp'"


def test_many_perfect_classes_are_not_certain() -> None:
    labels = np.arange(30) % 3
    measure = macro_roc_auc(labels, np.eye(3)[labels] * 0.9 + 0.1 / 3, classes=list("abc"))
    assert (measure.value, measure.high) == (1.0, 1.0)
    assert measure.low == pytest.approx(newcombe_limits(1.0, 10, 20)[0])
