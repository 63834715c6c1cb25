"""Good candidates are hardly ever stopped, and bad ones as early as the sample sizes allow."""

from collections import Counter
from dataclasses import replace

import pytest

from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.simulation import SimulatedModel, SimulatedTraffic, simulated_rollout, simulated_rollouts

STABLE = SimulatedModel()
TRAFFIC = SimulatedTraffic(tick_seconds=120.0)


def plan() -> RolloutSettings:
    return RolloutSettings.gather(warm_up_seconds=120.0)


def test_the_same_seed_draws_the_same_rollout() -> None:
    one, other = (simulated_rollout(plan(), STABLE, STABLE, TRAFFIC, seed=3) for _ in range(2))
    assert one == other and one.result == "success"


@pytest.mark.parametrize("rate", [0.001, 0.03])
def test_a_candidate_that_is_the_same_is_hardly_ever_stopped(rate: float) -> None:
    """Of 12 each; of a thousand: benchmarks/rollouts.py."""
    same = SimulatedModel(failure_rate=rate)
    found = Counter(each.result for each in simulated_rollouts(plan(), same, same, TRAFFIC, seeds=range(12)))
    assert found["success"] >= 11


@pytest.mark.parametrize(
    ("candidate", "results", "exposed"),
    [
        (replace(STABLE, failure_rate=0.011), {"rejected", "canary_failed"}, 3000),
        (replace(STABLE, seconds=0.09), {"canary_failed"}, 1500),
        (replace(STABLE, accuracy=0.1), {"rejected"}, 0),
        (replace(STABLE, class_accuracy={3: 0.05}), {"rejected"}, 0),
    ],
    ids=["1 % random errors", "three times the latency", "permuted labels", "one bad class"],
)
def test_a_bad_candidate_is_stopped_at_the_earliest_stage(candidate, results, exposed) -> None:
    found = list(simulated_rollouts(plan(), STABLE, candidate, TRAFFIC, seeds=range(6)))
    assert {each.result for each in found} <= results
    assert max(each.exposed for each in found) <= exposed


def test_a_candidate_that_is_worse_where_truths_come_does_not_pass_the_shadow_and_one_as_good_does() -> None:
    told = replace(TRAFFIC, truth_share=0.3)
    worse = replace(STABLE, accuracy=0.84)
    found = Counter(each.result for each in simulated_rollouts(plan(), STABLE, worse, told, seeds=range(5)))
    assert found == {"rejected": 5}
    assert simulated_rollout(plan(), STABLE, replace(STABLE, accuracy=0.905), told, seed=1).result == "success"


def test_without_traffic_nothing_goes_on() -> None:
    silent = replace(TRAFFIC, requests_per_second=0.0)
    assert simulated_rollout(plan(), STABLE, STABLE, silent, seed=0).result == "paused (cannot measure)"
