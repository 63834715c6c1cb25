"""The life of a model's process: it is begun, loads, is watched, and is begun again when it dies."""

import asyncio
import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from vitrail.serving.messages import Message, next_message, packed
from vitrail.serving.model_order import Bounds, ModelOrder

State = Literal["loading", "ready", "failed", "stopped"]

STEADY_SECONDS = 60.0
"""A process that lived so long is not in a crash loop: the next restart does not wait."""

SECRETS = ("VITRAIL_PREDICT_KEY", "VITRAIL_ADMIN_KEY", "PGPASSWORD")
"""Which whoever decodes strangers' files need not know."""

_GONE = (asyncio.IncompleteReadError, ConnectionError, ValueError)
"""What reading from a process raises that has ended, or says what is no message."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of a life; every function returns at once.

    Attributes:
        told: what happens to the process, in words.
        heard: everything that it says once it is ready.
        ended: nothing that it was asked will be answered any more, and why.
        hangs: whether it has been silent for too long.
        others_serve: whether other models answer meanwhile, which loading must not slow.
    """

    told: Callable[[str], None]
    heard: Callable[[dict[str, Any]], None]
    ended: Callable[[str], None]
    hangs: Callable[[], bool]
    others_serve: Callable[[], bool]


class ModelLife:
    """One process after the other; see `model_process` for what is said to them.

    All methods belong to one event loop.

    Attributes:
        state, why: how it is, in a word and in words.
        facts: what the process said of its model when it was last ready; empty: it never was.
        restarts: processes but the first.
        ends: how often its process ended though nobody wanted it to, or could not be begun.
        fault: why the last process that ended so did; empty: none has.
        is_down: whether the last process that ended had never been ready, and none has been since.
    """

    def __init__(self, name: str, order: ModelOrder, bounds: Bounds, listener: Listener) -> None:
        self.state: State = "loading"
        self.why = "is being loaded"
        self.facts: dict[str, Any] = {}
        self.restarts = self.ends = 0
        self.fault = ""
        self.is_down = False
        self._name, self._order, self._bounds, self._listener = name, order, bounds, listener
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._judged = asyncio.Event()
        self._unsaid: list[bytes] = []
        self._retired = False

    @property
    def pid(self) -> int | None:
        """Number of the process; None: there is none now."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin to load; see `until_loaded`."""
        self._task = asyncio.create_task(self._live(), name=f"model {self._name}")

    async def until_loaded(self) -> None:
        """Wait until it answers, or has failed for the first time."""
        await self._judged.wait()

    def retire(self) -> None:
        """From here on nothing is said to it; it ends when what it was asked is answered, and is not begun again."""
        self.say({"kind": "stop"})
        self._retired = True
        self._change("stopped", "is being stopped")

    async def end(self) -> None:
        """Kill it, if it has not ended itself, and wait until nothing is left of it."""
        self._retired = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._judged.set()
        self._change("stopped", "was stopped")

    def say(self, said: dict[str, Any], content: bytes = b"") -> bool:
        """Say something to the process; False: there is none that could hear it."""
        if self._writer is None or self._retired or self._writer.is_closing():
            return False
        if not self._unsaid:
            asyncio.get_running_loop().call_soon(self._say_all)
        self._unsaid.append(packed(said, content))
        return True

    def _say_all(self) -> None:
        """Together: to wake another process once for all that came at once is half the work of asking it."""
        unsaid, self._unsaid = self._unsaid, []
        if self._writer is not None and not self._writer.is_closing():
            self._writer.writelines(unsaid)

    async def _live(self) -> None:
        wait = self._bounds.restart_seconds
        while not self._retired:
            began = time.monotonic()
            try:
                why = await self._one_life()
            except Exception as error:  # noqa: BLE001 - no handles, no memory, a fault of ours: it is tried again
                why = f"could not be begun: {type(error).__name__}: {getattr(error, 'strerror', None) or error}"
            finally:
                await self._clear_away()
            if self._retired:
                return
            self.ends += 1
            self.fault, self.is_down = why, self.state != "ready"
            if time.monotonic() - began > STEADY_SECONDS:
                wait = self._bounds.restart_seconds
            self._change("failed", f"{why}; it is started again in {wait:.1f} s")
            self._judged.set()
            await asyncio.sleep(wait)
            wait = min(2 * wait, self._bounds.longest_restart_seconds)
            self.restarts += 1

    async def _one_life(self) -> str:
        """From the start of a process to its end; returns why it ended."""
        self._change("loading", "is being loaded")
        reader = await self._begun_process()
        try:
            ready = await asyncio.wait_for(next_message(reader), self._bounds.load_seconds)
        except TimeoutError:
            return f"was not loaded within {self._bounds.load_seconds:.0f} s"
        except _GONE:
            return f"could not be loaded: {await self._how_it_ended()}"
        if ready.said["kind"] != "ready":
            return f"could not be loaded: {ready.said.get('reason', 'no reason was given')}"
        self.facts = ready.said
        self.is_down = False
        if not self._retired:
            self._change("ready", "answers")
        self._judged.set()
        return await self._until_it_ends(reader)

    async def _begun_process(self) -> asyncio.StreamReader:
        ours, theirs = socket.socketpair()
        try:
            reader, self._writer = await asyncio.open_connection(sock=ours)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "vitrail.serving.model_process", str(theirs.fileno()), self._name,
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name not in SECRETS},
            )  # fmt: skip
        finally:
            theirs.close()
            if self._writer is None:
                ours.close()
        gently = self._listener.others_serve()
        self._writer.write(packed({"kind": "load", "gently": gently, **dataclasses.asdict(self._order)}))
        return reader

    async def _until_it_ends(self, reader: asyncio.StreamReader) -> str:
        hearing = asyncio.create_task(self._hear_all(reader))
        try:
            while not hearing.done():
                await asyncio.wait([hearing], timeout=min(1.0, self._bounds.hang_seconds / 4))
                if not hearing.done() and self._listener.hangs():
                    return f"did not say a word for {self._bounds.hang_seconds:g} s while it was asked"
            return await self._how_it_ended()
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _hear_all(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(*_GONE):
            while True:
                message: Message = await next_message(reader)
                self._listener.heard(message.said)

    async def _how_it_ended(self) -> str:
        if self._process is None:
            return "its process ended"
        try:
            code = await asyncio.wait_for(self._process.wait(), 2.0)
        except TimeoutError:
            return "its process closed the line"
        if code == -9:
            return "its process was killed (signal 9: by somebody, or for want of memory)"
        return f"its process was ended by signal {-code}" if code < 0 else f"its process ended with code {code}"

    async def _clear_away(self) -> None:
        """Nothing of a process is left: neither its memory, which the next one needs, nor a zombie."""
        writer, process, self._writer, self._process = self._writer, self._process, None, None
        if writer is not None:
            writer.transport.abort()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        self._listener.ended("its process ended")
        if process is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 5.0)

    def _change(self, state: State, why: str) -> None:
        if (state, why) != (self.state, self.why):
            self._listener.told(why)
        self.state, self.why = state, why
