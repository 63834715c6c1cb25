"""What every step of the operating loop is given, and the rollout room as it needs it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from vitrail.basics.database import Database, opened_database
from vitrail.basics.events import Emit, nobody
from vitrail.rollout.operating.policy import OperatePolicy, read_policy
from vitrail.rollout.operating.proposal_store import ProposalStore
from vitrail.rollout.operating.proposals import Proposal
from vitrail.rollout.version_store import VersionStore, opened_store

LOOP = "vitrail operate"
"""Who writes what nobody said."""


@dataclass(frozen=True)
class RolloutStanding:
    """Where a rollout stands.

    Attributes:
        number: of the rollout.
        result: `success`, or how it failed; None while it goes on.
        sentence: for people.
    """

    number: int
    result: str | None
    sentence: str = ""


@runtime_checkable
class Rollouts(Protocol):
    """What the loop asks of rollouts."""

    def find(self, version: str, *, since: float) -> RolloutStanding | None:
        """The latest rollout of a version that was begun since; None: there is none."""

    def begin(self, version: str, *, by: str) -> RolloutStanding:
        """Begin one; others conduct it."""


@dataclass(frozen=True)
class Operation:
    """The policy, and what is behind it.

    Attributes:
        policy: what may be done.
        versions: the version store.
        database: of the servers.
        proposals: kept there.
        rollouts: likewise.
        clock: seconds since 1970.
        emit: receives progress.
        workers: processes that read images; None: one per core.
    """

    policy: OperatePolicy
    versions: VersionStore
    database: Database
    proposals: ProposalStore
    rollouts: Rollouts
    clock: Callable[[], float]
    emit: Emit = nobody
    workers: int | None = None

    def folder(self, proposal: Proposal, suffix: str = "") -> Path:
        """A run folder of a proposal."""
        return Path(self.policy.material.runs).expanduser() / f"{proposal.name}-proposal-{proposal.number}{suffix}"


@contextlib.contextmanager
def opened_operation(
    policy: str | Path | OperatePolicy, *, rollouts: Callable[[OperatePolicy, Database], Rollouts],
    clock: Callable[[], float] = time.time, emit: Emit = nobody, workers: int | None = None,
) -> Iterator[Operation]:  # fmt: skip
    """Everything opened, and closed behind the block.

    Raises:
        InputError: the policy is not as expected.
        SystemFault: the extra `serve` is not installed.
    """
    asked = policy if isinstance(policy, OperatePolicy) else read_policy(policy)
    versions = opened_store(asked.store, clock)
    database = opened_database(asked.state)
    try:
        proposals = ProposalStore(database, clock)
        yield Operation(
            asked, versions, database, proposals, rollouts(asked, database), clock, emit, workers
        )  # fmt: skip
    finally:
        database.close()
        versions.close()
