"""The front's side of a model: what it is asked, what waits for it, and what its answers cost."""

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vitrail.serving.model_faults import ModelFault, Overloaded, TooLate, UnusableImage
from vitrail.serving.model_life import Listener, ModelLife, State
from vitrail.serving.model_order import Bounds, ModelOrder
from vitrail.serving.pace import Pace


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
    """A question that the process has not answered, whether or not somebody still waits for it."""

    answer: "asyncio.Future[dict[str, Any]]"
    size: int
    since: float


class ServedModel:
    """A model in a process of its own.

    All methods belong to one event loop. `told` receives what happens to it, in words; `shifted` the state of its
    stream test; `others_serve` says whether loading must not slow others.
    """

    def __init__(
        self, name: str, order: ModelOrder, bounds: Bounds, *,
        told: Callable[[str, str], None], shifted: Callable[[str, dict[str, Any]], None],
        others_serve: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self.name, self.order, self.bounds = name, order, bounds
        self.last_answer: float | None = None
        self._shifted = shifted
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._bytes = 0
        self._pace = Pace()
        self._last_word = 0.0
        listener = Listener(lambda why: told(name, why), self._hear, self._fail_all, self._hangs, others_serve)
        self._life = ModelLife(name, order, bounds, listener)

    # ------------------------------------------------------------------------------------------------ living

    @property
    def state(self) -> State:
        """How its process is."""
        return self._life.state

    @property
    def why(self) -> str:
        """The same in words."""
        return self._life.why

    @property
    def facts(self) -> dict[str, Any]:
        """What its process said about the model when it was last loaded; empty: it never was."""
        return self._life.facts

    @property
    def restarts(self) -> int:
        """How often its process was begun again."""
        return self._life.restarts

    @property
    def ends(self) -> int:
        """How often its process ended though nobody wanted it to."""
        return self._life.ends

    @property
    def fault(self) -> str:
        """Why its process ended the last time that it did so of itself; empty: it never has."""
        return self._life.fault

    @property
    def is_down(self) -> bool:
        """Whether its last process could not be loaded, and none could since."""
        return self._life.is_down

    @property
    def pid(self) -> int | None:
        """Number of its process; None: there is none now."""
        return self._life.pid

    @property
    def has_answered(self) -> bool:
        """Whether it was ever ready: one that never was has let nobody down."""
        return bool(self.facts)

    def start(self) -> None:
        """Begin to load; see `until_loaded`."""
        self._life.start()

    async def until_loaded(self) -> None:
        """Wait until it answers, or has failed for the first time."""
        await self._life.until_loaded()

    async def stop(self, *, seconds: float = 0.0) -> None:
        """Ask it nothing more, let it answer what it was asked for so many seconds, then end it."""
        self._life.retire()
        waiting = [asked.answer for asked in self._asked.values() if not asked.answer.done()]
        if waiting and seconds:
            await asyncio.wait(waiting, timeout=seconds)
        await self._life.end()

    # ------------------------------------------------------------------------------------------------ asking

    @property
    def waiting(self) -> int:
        """Images that were asked and are not answered yet."""
        return len(self._asked)

    def expected_wait(self) -> float:
        """Seconds until one more image would be answered, as far as is known."""
        return (len(self._asked) + 1) * self._pace.seconds

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
        try:
            seconds = time.monotonic() - began
            return Said(said["prediction"], seconds, said["decoding"], said["computing"], said["batch"])
        except (KeyError, TypeError, ValueError):
            raise ModelFault(f"model {self.name} said what is no answer") from None

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
        if self._asked and time.monotonic() + wait > deadline:
            raise Overloaded(
                f"{len(self._asked)} images are waiting, {wait:.1f} s of work", retry_after=max(1, math.ceil(wait))
            )

    async def _answer_to(self, kind: str, content: bytes, deadline: float) -> dict[str, Any]:
        number, now = next(self._numbers), time.monotonic()
        if self.state != "ready":
            raise ModelFault(f"model {self.name} {self.why}")
        if not self._life.say({"kind": kind, "id": number, "deadline": deadline}, content):
            raise ModelFault(f"model {self.name} is gone")
        if not self._asked:
            self._pace.begin(now)
        asked = self._asked[number] = _Asked(asyncio.get_running_loop().create_future(), len(content), now)
        self._bytes += len(content)
        try:
            async with asyncio.timeout(deadline - now):
                return self._or_fault(await asked.answer)
        except TimeoutError:
            self._life.say({"kind": "cancel", "id": number})
            raise TooLate(f"model {self.name} had not answered after {time.monotonic() - now:.1f} s") from None
        except asyncio.CancelledError:  # whoever asked is gone
            self._life.say({"kind": "cancel", "id": number})
            raise

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

    # ----------------------------------------------------------------------------------------------- hearing

    def _hear(self, said: dict[str, Any]) -> None:
        self._last_word = time.monotonic()
        if said["kind"] == "shift":
            self._shifted(self.name, {name: value for name, value in said.items() if name != "kind"})
            return
        number = said.get("id")
        asked = self._asked.pop(number, None) if isinstance(number, int) else None
        if asked is None:
            return
        self._bytes -= asked.size
        self._pace.answered(self._last_word)
        if not asked.answer.done():
            asked.answer.set_result(said)

    def _hangs(self) -> bool:
        """Whether it is silent though it has something to answer, be it what nobody waits for any more."""
        oldest = next(iter(self._asked.values()), None)
        if oldest is None:
            return False
        return time.monotonic() - max(oldest.since, self._last_word) > self.bounds.hang_seconds

    def _fail_all(self, why: str) -> None:
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_result({"kind": "failed", "reason": why})
        self._asked, self._bytes = {}, 0
