"""Load from a process of its own: clients that ask again when they are answered, or arrivals that wait for nobody.

usage: python -m benchmarks.serving_parts.load ORDER.json

An order has the fields of `LoadOrder`; figures are printed as JSON. HTTP is spoken by hand over keep-alive connections,
so that asking costs a fraction of answering; the share of its core that this process used is among the figures.
"""

import asyncio
import json
import random
import re
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.serving_parts.load_figures import Answered, figures_of_load

MOST_CONNECTIONS = 3000
"""Of an open loop: more than a server takes, so that questions wait at the server and not here."""

GRACE_SECONDS = 20.0
"""For answers that are still to come when the last question was asked."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TIMING = re.compile(rb"\r\nserver-timing: *([^\r]*)", re.IGNORECASE)


@dataclass(frozen=True)
class LoadOrder:
    """How a server is asked.

    Attributes:
        port: on loopback.
        request: file that holds a whole HTTP request.
        clients: that ask one question after the other; 0 with a rate.
        rate: questions a second, at times of a Poisson process; 0.0 with clients.
        seconds, warm_seconds: that are counted, and before them.
        seed: of the arrivals.
    """

    port: int
    request: str
    clients: int = 0
    rate: float = 0.0
    seconds: float = 3.0
    warm_seconds: float = 0.5
    seed: int = 0


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one question under way."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self.due = self.asked = 0.0
        self.waits = False
        self._begin()

    def _begin(self) -> None:
        self._buffer, self._needed, self._status, self._timing = b"", 0, 0, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._load.connections.add(self)

    def close(self) -> None:
        """Nothing more is asked."""
        self._transport.abort()

    def ask(self, due: float) -> None:
        """A question that was due then."""
        self.due, self.asked, self.waits = due, time.perf_counter(), True
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._needed:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end]
            length, timing = _LENGTH.search(head), _TIMING.search(head)
            self._status = int(head[9:12])
            self._timing = timing[1] if timing else b""
            self._needed = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) >= self._needed:
            status, timing_text = self._status, self._timing.decode()
            self._begin()
            self._told(status, timing_text)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waits:
            self._told(0, "")
        self._load.lost(self)

    def _told(self, status: int, timing: str) -> None:
        self.waits = False
        self._load.answered.append(Answered(self.due, self.asked, time.perf_counter(), status, timing))
        self._load.free(self)


@dataclass
class _Load:
    """What both kinds of load share: connections, and what was answered."""

    order: LoadOrder
    request: bytes
    answered: list[Answered] = field(default_factory=list)
    idle: list[_Connection] = field(default_factory=list)
    due: list[float] = field(default_factory=list)
    connecting: set[Any] = field(default_factory=set)
    connections: set[_Connection] = field(default_factory=set)
    opened: int = 0
    ended: bool = False

    async def connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        self.opened += 1
        _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.order.port)
        return connection

    def free(self, connection: _Connection) -> None:
        """It may ask again: at once in a closed loop, else what has waited longest."""
        if self.order.clients and not self.ended:
            connection.ask(time.perf_counter())
        elif self.due:
            connection.ask(self.due.pop(0))
        else:
            self.idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        self.opened -= 1
        self.connections.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        if self.order.clients and not self.ended:
            self._later(self._another())

    async def _another(self) -> None:
        try:
            self.free(await self.connect())
        except OSError:
            self.opened -= 1

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.connecting.add(task)
        task.add_done_callback(self.connecting.discard)

    # ------------------------------------------------------------------------------------------------ the two loops

    async def closed_loop(self, end: float) -> None:
        """So many clients, each of which asks again when it is answered."""
        for connection in [await self.connect() for _ in range(self.order.clients)]:
            connection.ask(time.perf_counter())
        await asyncio.sleep(end - time.perf_counter())
        self.ended = True

    async def open_loop(self, began: float, end: float) -> None:
        """Questions at times that do not depend on answers; one that finds no connection waits, and its time runs."""
        arrivals = random.Random(self.order.seed)
        due = began
        while (due := due + arrivals.expovariate(self.order.rate)) < end:
            if (left := due - time.perf_counter()) > 0:
                await asyncio.sleep(left)
            self._ask_when_due(due)
        self.ended = True

    def _ask_when_due(self, due: float) -> None:
        if self.idle:
            self.idle.pop().ask(due)
            return
        self.due.append(due)
        if self.opened < MOST_CONNECTIONS:
            self._later(self._another())

    async def until_all_are_answered(self, seconds: float) -> int:
        """Questions that are still not answered after so long."""
        until = time.perf_counter() + seconds
        while (waiting := self.opened - len(self.idle) + len(self.due)) and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        return max(0, waiting)


async def figures(order: LoadOrder) -> dict[str, Any]:
    """Ask as the order says."""
    load = _Load(order, Path(order.request).read_bytes())
    began, busy = time.perf_counter(), time.process_time()
    first, end = began + order.warm_seconds, began + order.warm_seconds + order.seconds
    await (load.closed_loop(end) if order.clients else load.open_loop(began, end))
    share = (time.process_time() - busy) / (time.perf_counter() - began)
    unanswered = await load.until_all_are_answered(GRACE_SECONDS)
    for connection in tuple(load.connections):
        connection.close()
    found = figures_of_load(load.answered, first=first, end=end, by_due_time=not order.clients)
    return {**found, "unanswered": unanswered, "load_core_share": round(share, 3)}


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    given = LoadOrder(**json.loads(Path(sys.argv[1]).read_text()))
    print(json.dumps(uvloop.run(figures(given))))
