import numpy as np
import pytest
import scipy.stats

from vitrail.measures.intervals import (
    Measure,
    affordable_resamples,
    as_percent,
    bootstrapped,
    cluster_bootstrap,
    normal_quantile,
    ratio,
    wilson,
    wilson_limits,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"), [(0, 10, 0, 0.27753), (9, 10, 0.59585, 0.98212), (50, 100, 0.40383, 0.59617)]
)
def test_wilson_gives_the_published_limits(successes: int, n: int, low: float, high: float) -> None:
    measure = wilson(successes, n, name="accuracy")
    assert (measure.low, measure.high) == (pytest.approx(low, abs=5e-6), pytest.approx(high, abs=5e-6))


@pytest.mark.parametrize("successes", [0, 1, 17, 299, 300])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(successes: int, level: float) -> None:
    expected = scipy.stats.binomtest(successes, 300).proportion_ci(level, method="wilson")
    measure = wilson(successes, 300, name="accuracy", level=level)
    assert (measure.low, measure.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_wilson_covers_the_truth_about_as_often_as_it_says() -> None:
    n, truth = 40, 0.93
    weights = scipy.stats.binom.pmf(np.arange(n + 1), n, truth)
    inside = [limits[0] <= truth <= limits[1] for limits in (wilson_limits(k / n, n) for k in range(n + 1))]
    assert 0.93 < float(weights @ inside) < 0.99


def test_wilson_on_no_images_is_undefined_and_not_zero() -> None:
    measure = wilson(0, 0, name="accuracy")
    assert (measure.value, measure.low, measure.high) == (None, None, None)
    assert measure.text() == "undefined (n = 0): there are no images to measure it on"


def test_the_text_names_value_interval_and_n() -> None:
    assert wilson(147, 153, name="accuracy").text() == "96.1 % (91.7–98.2, n = 153)"
    assert Measure("AUC", 0.9817, 1203, 0.9601, 0.9923, scale="number").text() == "0.982 (0.960–0.992, n = 1,203)"


def test_a_value_without_interval_says_why() -> None:
    measure = Measure("accuracy", 0.8, 30, undefined_because="all these images belong to one group")
    assert measure.text() == "80.0 % (n = 30; no interval: all these images belong to one group)"
    assert measure.interval_text() == ""


def test_only_a_perfect_share_reads_one_hundred_percent() -> None:
    assert [as_percent(share) for share in (1.0, 0.99999, 0.9994, 0.0)] == ["100.0", "99.9", "99.9", "0.0"]
    assert Measure("AUC", 0.99998, 10, 0.9, 1.0, scale="number").text() == "0.999 (0.900–1.000, n = 10)"


def test_a_measure_survives_json() -> None:
    measure = wilson(3, 7, name="accuracy")
    assert Measure.from_json(measure.as_json()) == measure


def test_the_normal_quantile_is_scipys() -> None:
    assert normal_quantile(0.9) == pytest.approx(scipy.stats.norm.ppf(0.95))


def test_bootstrap_weights_are_whole_clusters_drawn_as_often_as_there_are_clusters() -> None:
    clusters = np.array([0, 0, 1, 2, 2, 2])
    seen = []

    def spy(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return weights.sum(1)

    cluster_bootstrap(spy, clusters, seed=0, resamples=50)
    weights = np.concatenate(seen)
    assert weights.shape == (50, 6)
    assert np.array_equal(weights[:, 0], weights[:, 1]) and np.array_equal(weights[:, 3], weights[:, 5])
    assert np.array_equal(weights[:, [0, 2, 3]].sum(1), np.full(50, 3.0))


def test_the_bootstrap_is_decided_by_its_seed_and_not_by_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=30)

    def mean(weights: np.ndarray) -> np.ndarray:
        return weights @ values / weights.sum(1)

    whole = cluster_bootstrap(mean, np.arange(30), seed=5, resamples=64)
    monkeypatch.setattr("vitrail.measures.intervals.AT_ONCE", 90)
    pieces = cluster_bootstrap(mean, np.arange(30), seed=5, resamples=64)
    np.testing.assert_allclose(whole, pieces)
    assert not np.allclose(whole, cluster_bootstrap(mean, np.arange(30), seed=6, resamples=64))


def test_the_bootstrap_finds_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(2).normal(size=400)
    replicates = cluster_bootstrap(lambda w: w @ values / w.sum(1), np.arange(400), seed=0, resamples=4000)
    assert replicates.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_images_of_one_patient_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(3).normal(size=40), 10)
    alone = cluster_bootstrap(lambda w: w @ values / w.sum(1), np.arange(400), seed=0)
    together = cluster_bootstrap(lambda w: w @ values / w.sum(1), np.repeat(np.arange(40), 10), seed=0)
    assert together.std() == pytest.approx(np.sqrt(10) * alone.std(), rel=0.15)


def test_a_single_group_gets_no_interval() -> None:
    measure = bootstrapped(Measure("accuracy", 0.5, 4), np.full(100, 0.5), clusters=np.zeros(4, int))
    assert measure.low is None and measure.undefined_because == "all these images belong to one group"


def test_a_perfect_share_over_groups_is_not_certain() -> None:
    measure = bootstrapped(Measure("accuracy", 1.0, 20), np.ones(100), clusters=np.repeat(np.arange(5), 4))
    assert (measure.low, measure.high, measure.method) == (
        pytest.approx(wilson_limits(1.0, 5)[0]),
        1.0,
        "Wilson on 5 groups",
    )


def test_resamples_become_fewer_for_many_images_but_never_too_few() -> None:
    assert [affordable_resamples(n) for n in (10, 400_000, 10**9)] == [1000, 500, 200]


def test_nothing_divided_by_nothing_is_undefined() -> None:
    assert np.isnan(ratio(np.array([0.0]), np.array([0.0]))).all()
