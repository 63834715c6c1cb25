import itertools

import numpy as np
import pytest

from vitrail.measures.selective import _risk_and_influence, selective


def test_the_risk_is_the_mean_of_the_cumulative_risks() -> None:
    risk = selective(np.array([True, True, False, False]), np.array([0.9, 0.8, 0.7, 0.6])).risk
    assert risk.value == pytest.approx(0.208333, abs=1e-6)
    assert risk.low <= risk.value <= risk.high


@pytest.mark.parametrize("seed", range(3))
def test_the_risk_is_one_less_the_mean_accuracy_over_all_response_rates(seed: int) -> None:
    """pytorch-ood's `aurra`, which takes equally sure images in the order in which they come: here are none."""
    random = np.random.default_rng(seed)
    sure, right = random.random(200), random.random(200) < 0.7
    accuracies = np.cumsum(right[np.argsort(sure)[::-1]]) / np.arange(1, 201)
    assert selective(right, sure).risk.value == pytest.approx(1 - accuracies.mean())


def test_the_risk_counts_every_share_of_images_once_where_others_join_points_by_lines() -> None:
    """torch-uncertainty's test: it takes trapezoids between the shares 1/N and 1, so the surest image counts half."""
    right, sure = np.array([True, True, False, False, True]), np.array([0.9, 0.8, 0.7, 0.6, 0.8])
    risks = np.array([0, 0, 0, 1 / 4, 2 / 5])
    assert np.trapezoid(risks, dx=0.2) / 0.8 == pytest.approx((0.25 * 0.2 / 2 + 0.25 * 0.2 + 0.15 * 0.2 / 2) / 0.8)
    assert selective(right, sure).risk.value == pytest.approx(risks.mean())


def test_equally_sure_images_count_as_the_mean_over_all_their_orders() -> None:
    sure, right = np.array([0.9, 0.8, 0.8, 0.8, 0.5]), np.array([True, False, True, True, False])
    risks = []
    for order in itertools.permutations([1, 2, 3]):
        wrong = ~right[[0, *order, 4]]
        risks.append(np.mean(np.cumsum(wrong) / np.arange(1, 6)))
    assert selective(right, sure).risk.value == pytest.approx(np.mean(risks))
    assert selective(right[::-1], sure[::-1]).risk.value == pytest.approx(np.mean(risks))


def test_what_an_image_changes_is_the_derivative_by_its_weight() -> None:
    random = np.random.default_rng(0)
    sure, wrong = random.random(25), random.random(25) < 0.4

    def area(weights: np.ndarray) -> float:
        order = np.argsort(-sure)
        placed = weights[order]
        return float(placed @ (np.cumsum(placed * wrong[order]) / np.cumsum(placed)) / placed.sum())

    value, influence = _risk_and_influence(wrong, sure)
    assert value == pytest.approx(area(np.ones(25)))
    for image in range(25):
        up, down = np.ones(25), np.ones(25)
        up[image], down[image] = 1 + 1e-5, 1 - 1e-5
        assert influence[image] == pytest.approx(25 * (area(up) - area(down)) / 2e-5, abs=1e-4)


def test_points_tell_the_accuracy_of_the_surest_and_never_part_equals() -> None:
    sure = np.array([0.9, 0.8, 0.8, 0.6])
    points = selective(np.array([True, True, False, False]), sure, coverages=(0.25, 0.5, 1.0)).points
    assert [(each.least_probability, each.coverage) for each in points] == [(0.9, 0.25), (0.8, 0.75), (0.6, 1.0)]
    assert [each.accuracy.value for each in points] == [1, pytest.approx(2 / 3), 0.5]


def test_a_confidence_that_says_nothing_has_the_error_rate_and_one_that_knows_has_less() -> None:
    random = np.random.default_rng(1)
    right = random.random(5000) < 0.8
    assert selective(right, random.random(5000)).risk.value == pytest.approx(0.2, abs=0.03)
    assert selective(right, np.full(5000, 0.5)).risk.value == pytest.approx(1 - right.mean())
    assert selective(right, right + random.random(5000)).risk.value < 0.03


def test_a_model_without_a_mistake_is_not_certain() -> None:
    risk = selective(np.ones(10, bool), np.linspace(0.5, 1, 10)).risk
    assert (risk.value, risk.low) == (0, 0) and risk.high == pytest.approx(0.27753, abs=1e-5)


def test_groups_count_once_and_no_images_are_undefined() -> None:
    random = np.random.default_rng(2)
    right, sure = np.repeat(random.random(10) < 0.7, 20), random.random(200)
    grouped = selective(right, sure, groups=np.repeat(np.arange(10), 20)).risk
    alone = selective(right, sure).risk
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    empty = selective(np.zeros(0, bool), np.zeros(0))
    assert (empty.risk.value, empty.points) == (None, ())
