"""Rollouts as the operating loop needs them: begun here, conducted by whoever watches over the servers."""

import time

from vitrail.basics.database import Database
from vitrail.basics.events import nobody
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.live.rollout_store import RolloutStore
from vitrail.rollout.operating.policy import OperatePolicy
from vitrail.workflows.operate.operation import Rollouts, RolloutStanding
from vitrail.workflows.rollout import start_rollout

_LOOKED_BACK = 100


class KeptRollouts:
    """Those in the database of the servers; see `Rollouts`."""

    def __init__(self, policy: OperatePolicy, database: Database) -> None:
        self._policy, self._store = policy, RolloutStore(database, time.time)

    def find(self, version: str, *, since: float) -> RolloutStanding | None:
        """See `Rollouts`."""
        found = [
            each for each in self._store.rollouts(_LOOKED_BACK) if each.version == version and each.begun_at >= since
        ]
        return max(map(_standing, found), key=lambda each: each.number, default=None)

    def begin(self, version: str, *, by: str) -> RolloutStanding:
        """See `Rollouts`.

        Raises:
            InputError: the version, the routes or the plan do not allow it, or another rollout goes on.
        """
        policy = self._policy
        begun = start_rollout(
            version, state=policy.state, store=policy.store, plan=policy.rollout, by=by, conduct=False, emit=nobody
        )  # fmt: skip
        return _standing(begun.rollout)


def rollouts_of(policy: OperatePolicy, database: Database) -> Rollouts:
    """Those of the servers that the policy names."""
    return KeptRollouts(policy, database)


def _standing(kept: KeptRollout) -> RolloutStanding:
    said = kept.state.decisions[-1].sentences if kept.state.decisions else ()
    result = kept.state.result if kept.is_closed else None
    return RolloutStanding(kept.number, result, " ".join(said))
