"""What a rollout would have decided: recorded looks, put before a plan again."""

from collections.abc import Iterable, Iterator

from vitrail.rollout.decision import Decision, Moment
from vitrail.rollout.evidence import Evidence
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.state import RolloutState
from vitrail.rollout.tick import tick


def replayed(
    plan: RolloutSettings, state: RolloutState, looks: Iterable[tuple[Evidence, Moment]]
) -> Iterator[Decision]:  # fmt: skip
    """The decisions of a plan on looks that were recorded, one by one, until the rollout is over.

    With the plan that they were recorded under these are the decisions that were taken. With another one they hold up
    to the first that differs: from there on, other routes would have brought other figures.

    Args:
        plan: that is tried.
        state: the one that the rollout began with (`state.begun_state`), or any later one.
        looks: evidence and moment of every tick, in order; orders of persons are not among them.
    """
    for evidence, moment in looks:
        if state.is_over:
            return
        decision = tick(plan, state, evidence, moment)
        yield decision
        state = decision.state
