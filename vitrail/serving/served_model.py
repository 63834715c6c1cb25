"""The front's side of a model: its process is started, asked, watched, and started again when it dies."""

import asyncio
import contextlib
import dataclasses
import itertools
import math
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from vitrail.serving.messages import Message, next_message, packed
from vitrail.serving.model_faults import ModelFault, Overloaded, TooLate, UnusableImage
from vitrail.serving.model_order import Bounds, ModelOrder

State = Literal["loading", "ready", "failed", "stopped"]

STEADY_SECONDS = 60.0
"""A process that lived so long is not in a crash loop: the next restart does not wait."""


@dataclass(frozen=True, slots=True)
class Said:
    """A model's answer to one image.

    Attributes:
        prediction: as `Prediction.as_json`.
        seconds: from the question to the answer: waiting, decoding, computing.
        decoding, computing: seconds of them; computing is that of the whole batch.
        batch: images that were computed together.
    """

    prediction: dict[str, Any]
    seconds: float
    decoding: float = 0.0
    computing: float = 0.0
    batch: int = 1


@dataclass(slots=True)
class _Asked:
    answer: "asyncio.Future[dict[str, Any]]"
    size: int
    since: float


class ServedModel:
    """A model in a process of its own.

    All methods belong to one event loop. `told` receives what happens to it, in words; `shifted` the state of its
    stream test.
    """

    def __init__(
        self, name: str, order: ModelOrder, bounds: Bounds, *,
        told: Callable[[str, str], None], shifted: Callable[[str, dict[str, Any]], None],
    ) -> None:  # fmt: skip
        self.name, self.order, self.bounds = name, order, bounds
        self.state: State = "loading"
        self.why = "is being loaded"
        self.facts: dict[str, Any] = {}
        self.restarts = 0
        self.last_answer: float | None = None
        self._told, self._shifted = told, shifted
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._bytes = 0
        self._per_image = 0.0
        self._last_word = time.monotonic()
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._life: asyncio.Task[None] | None = None
        self._first_state = asyncio.Event()

    # ------------------------------------------------------------------------------------------------ living

    def start(self) -> None:
        """Begin to load; see `until_loaded`."""
        self._life = asyncio.create_task(self._live(), name=f"model {self.name}")

    async def until_loaded(self) -> None:
        """Wait until it answers, or has failed for the first time."""
        await self._first_state.wait()

    async def stop(self, *, seconds: float = 0.0) -> None:
        """Let it answer what it was asked for so many seconds, then end it."""
        if self._writer is not None and seconds:
            with contextlib.suppress(OSError):
                self._writer.write(packed({"kind": "stop"}))
            waiting = [asked.answer for asked in self._asked.values()]
            if waiting:
                await asyncio.wait(waiting, timeout=seconds)
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        self._change("stopped", "was stopped")

    async def _live(self) -> None:
        wait = self.bounds.restart_seconds
        while True:
            began = time.monotonic()
            try:
                why = await self._one_life()
            finally:
                self._end_process()
                self._fail_all("its process was ended")
            if time.monotonic() - began > STEADY_SECONDS:
                wait = self.bounds.restart_seconds
            self._change("failed", f"{why}; it is started again in {wait:.1f} s")
            self._first_state.set()
            await asyncio.sleep(wait)
            wait = min(2 * wait, self.bounds.longest_restart_seconds)
            self.restarts += 1

    async def _one_life(self) -> str:
        """From the start of a process to its end; returns why it ended."""
        self._change("loading", "is being loaded")
        reader = await self._begun_process()
        try:
            ready = await asyncio.wait_for(next_message(reader), self.bounds.load_seconds)
        except TimeoutError:
            return f"was not loaded within {self.bounds.load_seconds:.0f} s"
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return f"could not be loaded: {await self._how_it_ended()}"
        if ready.said["kind"] != "ready":
            return f"could not be loaded: {ready.said.get('reason', 'no reason was given')}"
        self.facts = ready.said
        self._change("ready", "answers")
        self._first_state.set()
        return await self._until_it_ends(reader)

    async def _begun_process(self) -> asyncio.StreamReader:
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "vitrail.serving.model_process", str(theirs.fileno()),
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            reader, self._writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._last_word = time.monotonic()
        self._writer.write(packed({"kind": "load", **dataclasses.asdict(self.order)}))
        return reader

    async def _until_it_ends(self, reader: asyncio.StreamReader) -> str:
        hearing = asyncio.create_task(self._hear_all(reader))
        try:
            while not hearing.done():
                await asyncio.wait([hearing], timeout=min(1.0, self.bounds.hang_seconds / 4))
                if not hearing.done() and self._hangs():
                    return f"did not say a word for {self.bounds.hang_seconds:g} s while it was asked"
            return await self._how_it_ended()
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    def _hangs(self) -> bool:
        if not self._asked:
            return False
        oldest = min(asked.since for asked in self._asked.values())
        return time.monotonic() - max(oldest, self._last_word) > self.bounds.hang_seconds

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

    def _end_process(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process = None

    def _change(self, state: State, why: str) -> None:
        if (state, why) != (self.state, self.why):
            self._told(self.name, why)
        self.state, self.why = state, why

    # ------------------------------------------------------------------------------------------------ asking

    @property
    def has_answered(self) -> bool:
        """Whether it was ever ready: one that never was has let nobody down."""
        return bool(self.facts)

    @property
    def waiting(self) -> int:
        """Images that were asked and are not answered yet."""
        return len(self._asked)

    def expected_wait(self) -> float:
        """Seconds until one more image would be answered, as far as is known."""
        return (len(self._asked) + 1) * self._per_image

    async def ask(self, content: bytes, *, deadline: float) -> Said:
        """What the model says of the content of an image file.

        Args:
            deadline: on the monotonic clock; later the answer is worth nothing.

        Raises:
            UnusableImage: it cannot be read, or may not be decoded.
            Overloaded: the queue is full, or so long that the deadline would pass; nothing was done.
            TooLate: there was no answer before the deadline.
            ModelFault: the model failed.
        """
        self._refuse_overload(len(content), deadline)
        began = time.monotonic()
        said = await self._answer_to("image", content, deadline)
        self._per_image = said["per_image"]
        return Said(
            said["prediction"], time.monotonic() - began, said["decoding"], said["computing"], said["batch"]
        )  # fmt: skip

    async def look(self, content: bytes, *, deadline: float) -> dict[str, Any]:
        """Where the model looks on an image; raises as `ask`."""
        self._refuse_overload(len(content), deadline)
        said = await self._answer_to("look", content, deadline)
        return {name: value for name, value in said.items() if name not in ("kind", "id")}

    async def probe(self, *, deadline: float) -> float:
        """Seconds for a real answer to an image made from formulas; raises as `ask`."""
        began = time.monotonic()
        await self._answer_to("probe", b"", deadline)
        return time.monotonic() - began

    def _refuse_overload(self, size: int, deadline: float) -> None:
        wait = self.expected_wait()
        full = len(self._asked) >= self.bounds.queue_images or self._bytes + size > self.bounds.queue_bytes
        if full and self._asked:
            raise Overloaded(f"{len(self._asked)} images are waiting already", retry_after=max(1, math.ceil(wait)))
        if time.monotonic() + wait > deadline:
            raise Overloaded(
                f"{len(self._asked)} images are waiting, {wait:.1f} s of work", retry_after=max(1, math.ceil(wait))
            )

    async def _answer_to(self, kind: str, content: bytes, deadline: float) -> dict[str, Any]:
        writer = self._writer
        if self.state != "ready" or writer is None:
            raise ModelFault(f"model {self.name} {self.why}" if self.state != "ready" else f"model {self.name} is gone")
        number, now = next(self._numbers), time.monotonic()
        asked = _Asked(asyncio.get_running_loop().create_future(), len(content), now)
        self._asked[number] = asked
        self._bytes += len(content)
        try:
            writer.write(packed({"kind": kind, "id": number, "deadline": deadline}, content))
            async with asyncio.timeout(deadline - now):
                return self._or_fault(await asked.answer)
        except TimeoutError:
            self._tell({"kind": "cancel", "id": number})
            raise TooLate(f"model {self.name} had not answered after {time.monotonic() - now:.1f} s") from None
        except asyncio.CancelledError:  # whoever asked is gone
            self._tell({"kind": "cancel", "id": number})
            raise
        finally:
            del self._asked[number]
            self._bytes -= asked.size

    def _or_fault(self, said: dict[str, Any]) -> dict[str, Any]:
        kind, reason = said["kind"], said.get("reason", "")
        if kind in ("unreadable", "unusable"):
            raise UnusableImage(reason)
        if kind == "expired":
            raise TooLate(f"model {self.name} could not begin in time")
        if kind == "failed":
            raise ModelFault(f"model {self.name} failed: {reason}")
        self.last_answer = time.monotonic()
        return said

    def _tell(self, said: dict[str, Any]) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.write(packed(said))

    # ----------------------------------------------------------------------------------------------- hearing

    async def _hear_all(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                message = await next_message(reader)
            except (asyncio.IncompleteReadError, ConnectionError, ValueError):
                return
            self._last_word = time.monotonic()
            self._hear(message)

    def _hear(self, message: Message) -> None:
        said = message.said
        if said["kind"] == "shift":
            self._shifted(self.name, {name: value for name, value in said.items() if name != "kind"})
            return
        asked = self._asked.get(said.get("id", 0))
        if asked is not None and not asked.answer.done():
            asked.answer.set_result(said)

    def _fail_all(self, why: str) -> None:
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_result({"kind": "failed", "reason": why})
