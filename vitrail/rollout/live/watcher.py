"""What runs beside a server: it begins a conductor where a rollout goes on and nobody conducts it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable

from vitrail.basics.clock import Clock
from vitrail.basics.database import Database
from vitrail.basics.errors import InputError, VitrailError
from vitrail.rollout.live.addresses import STATE
from vitrail.rollout.live.claim import LEASE_SECONDS, Silence, heard_of
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.live.rollout_store import RolloutStore

WATCH_SECONDS = 2.0
AGAIN_SECONDS = 60.0
"""After so long a conductor that had to give up is begun once more."""
END_SECONDS = 3.0
_COMMAND = (sys.executable, "-m", "vitrail", "rollout", "conduct", "--with-parent", "--quiet")

BeginConductor = Callable[[str, KeptRollout], "subprocess.Popen[bytes]"]
Seen = Callable[[KeptRollout | None, str | None], None]


def begun_conductor(address: str, kept: KeptRollout) -> "subprocess.Popen[bytes]":
    """A conductor in a process of its own, which ends when its input does: with whoever began it, however that ends.

    Args:
        address: of the servers' database; a password in it is in no command line.
        kept: the rollout.
    """
    said = ("--number", str(kept.number), "--silent", heard_of(kept))
    return subprocess.Popen(
        [*_COMMAND, *said], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        env={**os.environ, STATE: address, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


class Watcher:
    """Looks every two seconds, in a thread, whether a rollout needs a conductor; a server has one at most.

    Several servers may begin one each: the first that claims the rollout conducts it, the others end.

    Args:
        database: of the servers; not necessarily there.
        address: of the same, as it was given.
        clock: steady.
        seen: receives the rollout of each look (None: there was none), and why it could not be read (None: it could).
        begin: begins a conductor.
        every: seconds between two looks.
    """

    def __init__(
        self, database: Database, address: str, clock: Clock, *, seen: Seen = lambda *_: None,
        begin: BeginConductor = begun_conductor, every: float = WATCH_SECONDS,
    ) -> None:  # fmt: skip
        self._database, self._address, self._begin, self._every = database, address, begin, every
        self._seen = seen
        self._store = RolloutStore(database, clock.wall)
        self._silence = Silence(clock, seconds=LEASE_SECONDS)
        self._ended = threading.Event()
        self._clock, self._not_before = clock, float("-inf")
        self._thread: threading.Thread | None = None
        self._conductor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._watch, name="vitrail rollout watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and the conductor with it; another server's watcher goes on with the rollout."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(END_SECONDS)
        if self._conductor is not None:
            _end(self._conductor)
        self._database.close()

    def look_once(self) -> None:
        """Look how the rollout stands, and begin a conductor if one is needed."""
        try:
            kept = self._store.current()
        except VitrailError as fault:
            self._seen(None, fault.message)
            return
        self._seen(kept, None)
        if self._conductor is not None and self._conductor.poll() is None:
            return
        if self._conductor is not None:
            _end(self._conductor)
            if self._conductor.returncode == InputError.exit_code:  # it is not to be conducted from here: see its words
                self._not_before = self._clock.monotonic() + AGAIN_SECONDS
            self._conductor = None
        if self._clock.monotonic() < self._not_before:
            return
        if kept is not None and not kept.is_closed and self._silence.is_silent(kept):
            self._conductor = self._begin(self._address, kept)

    def _watch(self) -> None:
        while not self._ended.wait(self._every):
            self.look_once()


def _end(conductor: "subprocess.Popen[bytes]") -> None:
    if conductor.stdin is not None:
        conductor.stdin.close()
    try:
        conductor.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        conductor.kill()
        conductor.wait()


def end_with_input(ended: threading.Event) -> None:
    """Set an event when this process's input ends, which is when the process that began it does."""

    def read() -> None:
        while os.read(0, 4096):
            pass
        ended.set()

    threading.Thread(target=read, name="vitrail parent", daemon=True).start()
