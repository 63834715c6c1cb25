"""The rollout that a server's console shows, and what the buttons there order."""

from collections.abc import Mapping
from typing import Any

from vitrail.basics.clock import SystemClock
from vitrail.basics.database import opened_database
from vitrail.basics.errors import InputError
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.live.rollout_store import RolloutStore, Told
from vitrail.rollout.live.shown import RolloutResult
from vitrail.rollout.live.watcher import Watcher

_TOLD: dict[str, Told] = {"pause": "pause", "resume": "resume", "promote": "promote", "abort": "abort"}


class WatchedRollout:
    """Looks at the rollout every two seconds, in a thread: whoever asks how it stands never waits for a database.

    Args:
        address: of the servers' state.
    """

    def __init__(self, address: str) -> None:
        clock = SystemClock()
        self._store = RolloutStore(opened_database(address), clock.wall)
        self._watcher = Watcher(opened_database(address), address, clock, seen=self._seen)
        self._shown: Mapping[str, Any] | None = None

    def shown(self) -> Mapping[str, Any] | None:
        """How the rollout stood at the last look; None: there was none yet. `trouble` says why it may be old."""
        return self._shown

    def order(self, number: int, order: str, *, by: str, why: str, place: str | None = None) -> None:
        """Give an order; it stands in the record.

        Raises:
            InputError: it cannot be obeyed.
            SystemFault: the database is away.
        """
        if order not in _TOLD:
            raise InputError(f"there is no order {order!r}", hint=", ".join(_TOLD))
        kept = self._store.order(number, _TOLD[order], by=by, why=why, place=place)
        self._seen(kept, None)

    def start(self) -> None:
        """Begin to look; a rollout that nobody conducts gets a conductor."""
        self._watcher.start()

    def stop(self) -> None:
        """Look no more."""
        self._watcher.stop()
        self._store.database.close()

    def _seen(self, kept: KeptRollout | None, fault: str | None) -> None:
        if fault is not None:
            before = self._shown
            self._shown = None if before is None else {**before, "trouble": f"how it stands now is not known: {fault}"}
            return
        self._shown = None if kept is None else shown_rollout(kept)


def shown_rollout(kept: KeptRollout) -> dict[str, Any]:
    """A rollout in plain values, for a page."""
    return {**RolloutResult(kept).as_json(), "instead_of": kept.arms.replaced.model, "trouble": None}
