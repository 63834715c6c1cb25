"""Users of a server: so many requests a second on a few open connections, and what became of each.

with Load(server, picture_files(500), per_second=40.0, feedback=0.5) as load:
    load.until(400)
assert load.failed == []
"""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.serving import Server


class Asked(NamedTuple):
    """One request, and what came back.

    Attributes:
        at: when it was sent, on the monotonic clock.
        user: who asked.
        status: of HTTP; 0: no answer came.
        kind: `success`, `fallback_success`, or the code of the refusal, or what broke the connection.
        arm, model: whose turn it was, and who answered; empty: nobody.
        answer, truth: names of classes.
        seconds: from sending to the whole answer.
    """

    at: float
    user: str
    status: int
    kind: str
    arm: str
    model: str
    answer: str
    truth: str
    seconds: float


class Load:
    """Sends images whose truth is known, evenly in time; whoever is late does not hurry.

    Args:
        servers: one or several, which are asked in turn.
        images: contents of files with their truth; each request draws one.
        per_second: requests of all users together.
        users: how many different ones; 0: requests name none.
        connections: open at once; each has a thread.
        feedback: share of answers whose truth is told, at once and on the same connection.
        seed: of what is drawn.
    """

    def __init__(
        self, servers: Server | Sequence[Server], images: Sequence[tuple[bytes, str]], *, per_second: float = 40.0,
        users: int = 300, connections: int = 4, feedback: float = 0.0, seed: int = 0,
    ) -> None:  # fmt: skip
        self._servers = [servers] if isinstance(servers, Server) else list(servers)
        self._images, self._users, self._feedback = images, users, feedback
        self._pause = connections / per_second
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_for_ever, args=(number, random.Random(seed * 1000 + number)))
            for number in range(connections)
        ]
        self.asked: list[Asked] = []
        """All requests, in the order in which they were answered."""
        self.feedback_refused: list[int] = []
        """Status of each truth that was not taken."""

    def __enter__(self) -> "Load":
        for number, thread in enumerate(self._threads):
            thread.start()
            time.sleep(self._pause / len(self._threads) if number + 1 < len(self._threads) else 0.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(40)

    @property
    def failed(self) -> list[Asked]:
        """Requests that got no answer."""
        return [each for each in self.asked if each.status != 200]

    def since(self, at: float) -> list[Asked]:
        """Requests that were sent since a moment of the monotonic clock."""
        return [each for each in self.asked if each.at >= at]

    def by_arm(self, *, since: float = 0.0) -> Counter[str]:
        """How many were whose turn."""
        return Counter(each.arm for each in self.since(since))

    def until(self, count: int, *, seconds: float = 60.0) -> None:
        """Wait until so many requests were answered or refused."""
        self.until_true(lambda: len(self.asked) >= count, seconds=seconds)

    def until_true(self, what: Callable[[], Any], *, seconds: float = 60.0) -> None:
        """Wait until something holds, while the load goes on."""
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise AssertionError(f"did not come within {seconds:g} s and {len(self.asked)} requests")
            time.sleep(0.02)

    def _ask_for_ever(self, number: int, drawn: random.Random) -> None:
        server = self._servers[number % len(self._servers)]
        connection = server.connection()
        due = time.monotonic()
        while not self._ended.is_set():
            self._ask(connection, drawn)
            due = max(due + self._pause, time.monotonic())
            self._ended.wait(due - time.monotonic())
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, drawn: random.Random) -> None:
        image, truth = drawn.choice(self._images)
        user = f"user-{drawn.randrange(self._users)}" if self._users else ""
        tells = drawn.random() < self._feedback
        at = time.monotonic()
        try:
            status, told = _sent(
                connection, f"/v1/predict?user_id={user}" if user else "/v1/predict", image, "image/png"
            )
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # the next request opens it anew
            self.asked.append(Asked(at, user, 0, type(error).__name__, "", "", "", truth, time.monotonic() - at))
            return
        kind = told.get("error", {}).get("code", "") if status != 200 else told["status"]
        words = (str(told.get(name) or "") for name in ("arm", "model_id", "prediction"))
        self.asked.append(Asked(at, user, status, kind, *words, truth, time.monotonic() - at))
        if status == 200 and tells:
            self._tell(connection, {"request_id": told["request_id"], "truth": truth})

    def _tell(self, connection: http.client.HTTPConnection, truth: dict[str, str]) -> None:
        try:
            status, _ = _sent(connection, "/v1/feedback", json.dumps(truth).encode(), "application/json")
        except (OSError, http.client.HTTPException):
            connection.close()
            status = 0
        if status != 202:
            self.feedback_refused.append(status)


def _sent(connection: http.client.HTTPConnection, path: str, body: bytes, kind: str) -> tuple[int, dict[str, Any]]:
    connection.request("POST", path, body, {"Content-Type": kind})
    response = connection.getresponse()
    return response.status, json.loads(response.read())
