"""What keeps figures over a restart, and brings those of other servers: a thread that requests never wait for."""

import threading
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from vitrail.basics.database import Database
from vitrail.basics.errors import VitrailError
from vitrail.basics.settings import Settings
from vitrail.monitoring.figures_store import FiguresStore
from vitrail.monitoring.live_figures import LiveFigures
from vitrail.monitoring.slots import HISTORY_SLOTS, SLOT_SECONDS, slot_at
from vitrail.monitoring.truth import LONGEST_WINDOW_SECONDS, Truths

_AT_ONCE = 5000
_TRUTHS_AT_ONCE = 20_000
_OVERLAP_SECONDS = 120.0
"""Truths are read again for so long: servers' clocks differ, and a transaction is seen only when it ends."""

_REMOVE_EVERY_SECONDS = 300.0


class KeeperSettings(Settings):
    """How figures are kept."""

    interval_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How often the database is written and read."""
    keep_days: Annotated[float, Field(gt=0, le=36_500)] = 30.0
    """Figures older than this are removed from the database."""
    keep_answers_days: Annotated[float, Field(gt=0, le=36_500)] = 30.0
    """Answers older than this are removed, with their truths: a truth that comes later is about an unknown request."""


@dataclass(frozen=True)
class KeeperState:
    """How keeping goes.

    Attributes:
        database: its address, without a password.
        connected: whether the last attempt went well.
        since: when it first did not, in seconds since 1970; None while connected.
        reason: why, without a password; None while connected.
        unsent_slots: finished slots that wait for the database.
        unsent_answers: answers and truths that do.
        caution: a sentence on a database that may lose data.
    """

    database: str
    connected: bool
    since: float | None
    reason: str | None
    unsent_slots: int
    unsent_answers: int
    caution: str | None = None

    @property
    def sentence(self) -> str:
        """How keeping goes, for people."""
        if self.since is None:
            return f"figures are kept in {self.database}"
        when = f"{datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M} UTC"
        waiting = f"{self.unsent_slots:,} slots of figures and {self.unsent_answers:,} answers and truths wait"
        return f"figures have not been kept since {when}: {self.reason}; requests go on, {waiting} to be written"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "sentence": self.sentence}


class FiguresKeeper:
    """Every five seconds writes what was counted, and reads what other servers counted.

    While the database is away, requests go on; what was counted within the last hour, and up to 100,000 answers, wait
    and are written when it is back. Slots are written whole and under their number, so that none counts twice.

    Args:
        live: the figures of this process.
        database: opened, not necessarily there.
        server: this server's name, the same after a restart.
        truths: answers and truths, where requests are remembered.
        settings: how often, and for how long.
    """

    def __init__(
        self, live: LiveFigures, database: Database, *, server: str, truths: Truths | None = None,
        settings: KeeperSettings | None = None,
    ) -> None:  # fmt: skip
        self._live, self._truths = live, truths
        self._settings = settings or KeeperSettings()
        self._store = FiguresStore(database, server=server, source=f"{server}/{uuid.uuid4().hex[:12]}")
        self._caution = database.caution
        self._sent: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._truths_read = 0.0
        self._removed_at = float("-inf")
        self._prepared = False
        self._fault: tuple[float, str] | None = None
        self._thread: threading.Thread | None = None
        self._wanted = threading.Event()
        if truths is not None:
            truths.keep()

    @property
    def state(self) -> KeeperState:
        """How keeping goes; never waits for the database."""
        since, reason = self._fault or (None, None)
        thread = self._thread
        if thread is not None and not thread.is_alive() and not self._wanted.is_set():
            since, reason = self._live.now(), "what keeps figures has ended by itself; begin the server anew"
        unsent = 0 if self._truths is None else self._truths.unwritten_count()
        return KeeperState(
            self._store.database.shown, reason is None, since, reason, len(self._live.finished(after=self._sent)),
            unsent, self._caution,
        )  # fmt: skip

    def start(self) -> None:
        """Begin, in a thread of its own; figures of the last hour are there a moment later."""
        self._wanted.clear()
        self._thread = threading.Thread(target=self._run, name="vitrail figures keeper", daemon=True)
        self._thread.start()

    def stop(self, *, seconds: float = 6.0) -> None:
        """Write what is left, and end; waits so long at most."""
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(seconds)
        self._store.database.close()

    def _run(self) -> None:
        self.keep_once()
        while not self._wanted.wait(self._settings.interval_seconds):
            self.keep_once()
        self.keep_once(last=True)

    def keep_once(self, *, last: bool = False) -> bool:
        """Write and read once; whether that went well is also in the state.

        Args:
            last: whether the slot under way is written as well.
        """
        try:
            if not self._prepared:
                self._store.prepare()
                self._prepared = True
            self._write_slots(unfinished=last)
            self._write_answers()
            self._read_others()
            self._remove_old()
        except VitrailError as error:
            self._prepared = False  # a file that was removed is made anew
            self._fault = (self._fault[0] if self._fault else self._live.now(), error.message)
            return False
        self._fault = None
        return True

    def _write_slots(self, *, unfinished: bool) -> None:
        current = slot_at(self._live.now())
        slots = self._live.finished(after=self._sent, unfinished=unfinished)
        self._store.write_slots(slots)
        for arm, slot, _ in slots:
            # That under way may be counted in again, and is then written again.
            self._sent[arm] = min(max(slot, self._sent.get(arm, -1)), current - 1)

    def _write_answers(self) -> None:
        truths, more = self._truths, self._truths is not None
        while truths is not None and more:
            answers, told = truths.take_unwritten(_AT_ONCE)
            more = len(answers) == _AT_ONCE
            try:
                self._store.write_answers(answers)
                answers = []
                found = self._store.write_truths(told, now=self._live.now())
            except VitrailError:
                truths.give_back(answers, told)
                raise
            for key, judged in found.items():
                for each in judged:
                    truths.put(key, each)
            truths.wait_for_answers({key: each for key, each in told.items() if key not in found})

    def _read_others(self) -> None:
        now = self._live.now()
        oldest = slot_at(now) - HISTORY_SLOTS
        for kept in self._store.slots_of_others(from_slot=oldest, seen=self._seen):
            self._live.put(kept.source, kept.arm, kept.slot, kept.tally)
            self._seen[kept.source] = max(kept.batch, self._seen.get(kept.source, 0))
        if self._truths is not None:
            since = max(self._truths_read - _OVERLAP_SECONDS, now - LONGEST_WINDOW_SECONDS)
            for key, judged in self._store.truths_since(since, most=_TRUTHS_AT_ONCE):
                self._truths.put(key, judged)
            self._truths_read = now

    def _remove_old(self) -> None:
        now = self._live.now()
        if now - self._removed_at < _REMOVE_EVERY_SECONDS:
            return
        days = self._settings
        self._store.remove_old(
            slots_before=int((now - days.keep_days * 86_400) // SLOT_SECONDS),
            answers_before=now - days.keep_answers_days * 86_400,
        )
        self._removed_at = now
