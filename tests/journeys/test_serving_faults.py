"""Models that raise, hang, are killed or cannot be loaded, and servers that are ended: nobody is left without a word.

Three servers are begun one after the other with the same routes: what was ended and begun again divides users alike.
"""

import io
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chisquare

from tests.serving import (
    Burden,
    Reply,
    Server,
    at_once,
    children_of,
    file_of,
    is_there,
    loading_server,
    reply_on,
    serving,
    small_package,
    until_as_before,
)  # fmt: skip
from vitrail.traffic.assignment import assigned_arm
from vitrail.traffic.routes import Arm, Routes

WEIGHTS = {"ants": 80.0, "bees": 20.0}
ROUTES = Routes(1, tuple(Arm(name, name, weight=weight) for name, weight in WEIGHTS.items()))
IMPATIENT: dict[str, Any] = {
    "model_seconds": 1.5, "deadline_seconds": 10.0, "restart_seconds": 0.1, "open_seconds": 0.5, "failures_to_open": 3,
    "most_open_seconds": 1.0, "failing_least_answers": 1000, "probe_every_seconds": 1.0,
}  # fmt: skip


def arm_of(user: str) -> str:
    return assigned_arm(ROUTES, user, Random(0)).name


def user_of(arm: str, number: int = 0) -> str:
    """The n-th user of an arm."""
    return [user for user in map(str, range(50 + 10 * number)) if arm_of(user) == arm][number]


def white(side: int = 64) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 255, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory, small_packages: dict[str, Path]) -> Iterator[Server]:
    """`ants`, which raises on white images, and `bees`."""
    folder = tmp_path_factory.mktemp("fragile")
    packages = {**small_packages, "ants": small_package(folder / "ants" / "package", raises_on_white=True)}
    with serving(WEIGHTS, packages, folder=folder, **IMPATIENT) as begun:
        yield begun


def asked(server: Server, arm: str, image: bytes | None = None, number: int = 0) -> Reply:
    return server.predict(image or file_of(number), query=f"?user_id={user_of(arm, number)}")


def told(reply: Any) -> tuple[int, str, str]:
    """Status, and who answered."""
    assert isinstance(reply, Reply), reply
    return reply.status, reply.json.get("status", reply.code), reply.json.get("model_id", "")


def comes_back(server: Server, model: str) -> None:
    """Its model is begun again, one probe closes its breaker, and it answers its own users."""
    server.until(lambda: told(asked(server, model)) == (200, "success", model), seconds=40)
    breakers = {each["model"]: each["state"] for each in server.get("/v1/health").json["breakers"]}
    assert breakers[model] == "closed"


def test_users_keep_their_model_whichever_server_they_ask_and_shares_are_as_they_were_asked_for(
    server: Server, fragile: Server
) -> None:
    arms = [arm_of(f"user {number}") for number in range(10_000)]
    counts = [arms.count(name) for name in WEIGHTS]
    assert chisquare(counts, [8000, 2000]).pvalue > 0.001
    for each in (server, fragile):
        assert arms_of_users(each, 300) == arms[:300]


def arms_of_users(server: Server, count: int) -> list[str]:
    """Of `user 0` and so on, as a server answers them over a few connections that stay open."""

    def ask(part: int) -> dict[int, str]:
        connection = server.connection()
        found = {}
        for number in range(part, count, 3):
            image = {"Content-Type": "image/jpeg"}
            connection.request("POST", f"/v1/predict?user_id=user%20{number}", file_of(1), image)
            reply = reply_on(connection)
            assert reply.status == 200, reply
            found[number] = reply.json["arm"]
        connection.close()
        return found

    parts = at_once(ask, 3)
    assert all(isinstance(part, dict) for part in parts), parts
    whole = {number: arm for part in parts for number, arm in part.items()}
    return [whole[number] for number in range(count)]


def test_an_image_that_a_model_cannot_answer_is_answered_by_another_and_takes_none_from_its_batch(
    fragile: Server,
) -> None:
    pid = fragile.model_pid("ants")

    def ask(index: int) -> Reply:
        return asked(fragile, "ants", white() if index == 5 else None, index)

    replies = [told(reply) for reply in at_once(ask, 16)]
    assert replies.pop(5) == (200, "fallback_success", "bees")
    assert replies == [(200, "success", "ants")] * 15
    error = asked(fragile, "ants", white()).json["original_error"]
    assert error.startswith("model ants failed: PackageError: the model's answer to image 0 is not a number")
    assert fragile.model_pid("ants") == pid and "/" not in error


def test_a_model_that_keeps_failing_is_left_alone_until_a_probe_shows_that_it_answers(fragile: Server) -> None:
    def state() -> str:
        return next(each["state"] for each in fragile.get("/v1/health").json["breakers"] if each["model"] == "ants")

    for _ in range(3):
        assert told(asked(fragile, "ants", white())) == (200, "fallback_success", "bees")
    assert state() == "open"
    reply = asked(fragile, "ants")
    assert told(reply) == (200, "fallback_success", "bees")
    assert reply.json["original_error"] == "model ants is left alone after failures"
    comes_back(fragile, "ants")


def test_requests_of_a_model_that_is_killed_are_answered_by_another_and_it_comes_back(fragile: Server) -> None:
    before = Burden.of(fragile)
    pid = fragile.model_pid("ants")
    os.kill(pid, signal.SIGSTOP)  # so that all of them wait when it dies
    replies: list[Any] = []
    asking = threading.Thread(target=lambda: replies.extend(at_once(lambda n: asked(fragile, "ants", None, n), 12)))
    asking.start()
    waits_for(fragile, "ants", 12)
    os.kill(pid, signal.SIGKILL)
    asking.join()
    assert [told(reply) for reply in replies] == [(200, "fallback_success", "bees")] * 12
    assert replies[0].json["original_error"] == "model ants failed: its process ended"
    assert fragile.health("ants") == "unhealthy"
    comes_back(fragile, "ants")
    assert not is_there(pid) and len(fragile.model_pids) == 2
    until_as_before(fragile, before, megabytes=60)


def waits_for(server: Server, model: str, count: int) -> None:
    models = lambda: {each["model_id"]: each["waiting"] for each in server.get("/v1/models").json["models"]}  # noqa: E731
    server.until(lambda: models()[model] >= count)


def test_a_model_that_hangs_is_ended_whether_somebody_asks_it_or_nobody(fragile: Server) -> None:
    ants, bees = fragile.model_pid("ants"), fragile.model_pid("bees")
    os.kill(bees, signal.SIGSTOP)
    fragile.until(lambda: not is_there(bees), seconds=20)  # by the probe that is made when nobody asks
    comes_back(fragile, "bees")
    os.kill(ants, signal.SIGSTOP)
    began = time.monotonic()
    replies = at_once(lambda index: asked(fragile, "ants", None, index), 6)
    assert time.monotonic() - began < 6
    assert [told(reply) for reply in replies] == [(200, "fallback_success", "bees")] * 6
    fragile.until(lambda: not is_there(ants), seconds=2)  # freeing its memory takes a moment
    comes_back(fragile, "ants")


def test_where_no_model_is_left_requests_are_refused_and_told_when_to_come_again(fragile: Server) -> None:
    for name in WEIGHTS:
        os.kill(fragile.model_pid(name), signal.SIGKILL)
    reply = fragile.until(lambda: reply if (reply := asked(fragile, "ants")).status == 503 else None)
    assert reply.code == "model_failed" and int(reply.headers["retry-after"]) >= 1
    assert fragile.get("/readyz").status == 503 and fragile.get("/healthz").status == 200
    comes_back(fragile, "ants")
    comes_back(fragile, "bees")
    assert fragile.get("/readyz").status == 200


def test_models_are_exchanged_under_load_and_no_request_fails(fragile: Server, small_packages: dict[str, Path]) -> None:
    failed: list[Any] = []
    versions: set[str] = set()
    ended = threading.Event()

    def load() -> None:
        while not ended.wait(0.02):
            reply = fragile.predict(file_of(3))
            versions.add(reply.json.get("version", ""))
            if told(reply)[:2] != (200, "success"):
                failed.append(reply.json)

    before = Burden.of(fragile)
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        arms = [arm.as_json() for arm in ROUTES.arms]
        old = fragile.model_pid("ants")
        revision = fragile.put_routes(arms, {"ants": small_packages["ants"]}).json["routes"]["revision"]
        fragile.until(lambda: fragile.get("/v1/health").json["revision"] == revision, seconds=40)
        fragile.until(lambda: not is_there(old))
        time.sleep(1.0)
        fragile.put_routes(arms, {"ants": small_packages["ants"].parent / "nowhere"})
        fragile.until(lambda: "not in force here" in (fragile.get("/v1/health").json["problem"] or ""), seconds=40)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failed == [] and len(versions) == 3  # two of ants, one of bees
    assert fragile.get("/v1/health").json["revision"] == revision
    fragile.until(lambda: len(fragile.model_pids) == 2, seconds=20)
    until_as_before(fragile, before, megabytes=60)


def test_nothing_is_left_of_a_server_that_is_killed(fragile: Server) -> None:
    models = [*fragile.model_pids, fragile.nursery_pid]
    assert len(models) == 3 and "Traceback" not in fragile.said() and "never retrieved" not in fragile.said()
    fragile.process.kill()
    fragile.process.wait(5)
    end = time.monotonic() + 5
    while any(map(is_there, models)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(is_there, models))


# ------------------------------------------------------------------------------------------------ a poor server


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory, small_packages: dict[str, Path]) -> Iterator[Server]:
    """A server with few files, little room and memory; its `ants` are broken on the disk, only `bees` answer."""
    folder = tmp_path_factory.mktemp("poor")
    broken = folder / "ants" / "package"
    shutil.copytree(small_packages["ants"], broken)
    weights = broken / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1
    weights.write_bytes(content)
    room = {"most_waiting": 4, "most_images": 2, "most_batch_images": 1, "memory_gb": 1.2, "restart_seconds": 3.0}
    packages = {"ants": broken, "bees": small_packages["bees"]}
    with serving(WEIGHTS, packages, folder=folder, ready=False, files=256, **room) as begun:
        begun.until(lambda: begun.state("bees") == "ready", seconds=60)
        yield begun


def test_a_model_that_cannot_be_loaded_is_answered_for_and_its_folder_is_nobodys_business(poor: Server) -> None:
    reply = poor.until(lambda: reply if told(reply := asked(poor, "ants"))[1] == "fallback_success" else None)
    assert told(reply) == (200, "fallback_success", "bees")
    poor.until(lambda: poor.health("ants") == "unhealthy")
    assert arms_of_users(poor, 300) == [arm_of(f"user {number}") for number in range(300)]
    for content in (reply.content, poor.get("/v1/models").content, poor.get("/v1/health").content):
        assert b"/tmp" not in content and str(poor.printed.parent).encode() not in content
    models = poor.get("/v1/models").json["models"]
    assert "could not be loaded: PackageError" in poor.said() and models[0]["restarts"] < 4
    assert poor.get("/readyz").status == 200


def test_what_does_not_fit_into_the_queue_is_refused_at_once_and_the_rest_is_answered(poor: Server) -> None:
    pid = poor.model_pid("bees")
    os.kill(pid, signal.SIGSTOP)
    waiting: list[Any] = []
    asking = threading.Thread(target=lambda: waiting.extend(at_once(lambda n: asked(poor, "bees", None, n), 4)))
    asking.start()
    try:
        waits_for(poor, "bees", 4)
        began = time.monotonic()
        refused = [asked(poor, "bees") for _ in range(20)]
        assert time.monotonic() - began < 1
        assert {(reply.status, reply.code) for reply in refused} == {(503, "overloaded")}
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    finally:
        os.kill(pid, signal.SIGCONT)
        asking.join()
    assert [told(reply) for reply in waiting] == [(200, "success", "bees")] * 4


def test_an_image_for_which_memory_does_not_suffice_fails_alone(poor: Server) -> None:
    pid = poor.model_pid("bees")
    reply = asked(poor, "bees", white(7000))
    assert (reply.status, reply.code) == (503, "model_failed"), reply.content
    assert "MemoryError" in reply.json["error"]["message"]
    assert told(asked(poor, "bees")) == (200, "success", "bees") and poor.model_pid("bees") == pid


def test_more_connections_than_files_are_refused_in_words_and_the_server_says_that_it_lives(poor: Server) -> None:
    before = Burden.of(poor)
    connections = []
    try:
        for _ in range(300):
            connections.append(socket.create_connection((poor.host, poor.port), timeout=5))
        time.sleep(0.3)
        told_busy = replies_to(connections[200:])
        assert told_busy and all(b"503" in each.split(b"\r\n")[0] and b'"overloaded"' in each for each in told_busy)
        for connection in connections[110:]:  # above the most that are served, below those that are talked to
            connection.close()
        time.sleep(0.3)
        reply = poor.until(lambda: poor.get("/healthz"))
        assert reply.status == 200
        assert (poor.get("/v1/models").status, poor.get("/v1/models").code) == (503, "overloaded")
    finally:
        for connection in connections:
            connection.close()
    poor.until(lambda: told(asked(poor, "bees")) == (200, "success", "bees"))
    poor.until(lambda: Burden.of(poor).handles[0] <= before.handles[0] + 2)


def replies_to(connections: list[socket.socket]) -> list[bytes]:
    found = []
    for connection in connections:
        connection.settimeout(2)
        try:
            found.append(connection.recv(4096))
        except OSError:
            continue
    return found


def test_a_server_whose_nursery_is_killed_begins_its_models_itself_and_says_so(poor: Server) -> None:
    assert (
        poor.put_routes([Arm("bees", "bees", weight=1.0).as_json()]).status == 202
    )  # the broken one would import, too
    poor.until(lambda: len(poor.model_pids) == 1)
    nursery, bees = poor.nursery_pid, poor.model_pid("bees")
    for pid in (nursery, bees):
        os.kill(pid, signal.SIGKILL)
    poor.until(lambda: told(asked(poor, "bees")) == (200, "success", "bees"), seconds=40)
    assert poor.said().count("nursery  its process ended; from now on each model process imports torch itself") == 1
    assert poor.model_pid("bees") != bees and nursery not in children_of(poor.pid)


def test_whoever_was_taken_is_answered_when_a_server_ends_and_nothing_is_left_of_it(poor: Server) -> None:
    """Requests on connections that stay open: none that was sent is lost, those that come later are not taken."""
    models = children_of(poor.pid)
    statuses: list[int] = []
    broken: list[str] = []

    def load(_: int) -> None:
        while True:
            try:
                statuses.append(poor.predict(file_of(1), seconds=10).status)
            except ConnectionRefusedError:
                return
            except (OSError, http_error()) as error:
                broken.append(repr(error))
                return

    ending = threading.Timer(0.7, lambda: poor.process.send_signal(signal.SIGTERM))
    ending.start()
    at_once(load, 3)
    assert poor.process.wait(20) == 0
    assert set(statuses) == {200} and len(statuses) > 10
    assert len(broken) <= 3 and not any(map(is_there, models))
    assert "Traceback" not in poor.said() and "never retrieved" not in poor.said()


def http_error() -> type[Exception]:
    import http.client

    return http.client.HTTPException


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT] * 3]
)
def test_a_server_that_is_still_loading_ends_when_it_is_asked_to(
    small_packages: dict[str, Path], tmp_path: Path, signals: list[signal.Signals]
) -> None:
    with loading_server(small_packages["bees"], folder=tmp_path) as server:
        models = server.until(lambda: children_of(server.pid))  # its nursery, which has not forked one yet
        began = time.monotonic()
        for number in signals:
            server.process.send_signal(number)
            time.sleep(0.05)
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < (3.0 if signals == [signal.SIGTERM] else 1.5)
        assert not any(map(is_there, models)) and "Traceback" not in server.said()
