"""Processes that the nursery forks are this process's own children; where it cannot fork, they are begun directly.

The nursery here has imported nothing. A real one stands behind every server of `tests/journeys`.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from tests.serving import children_of
from vitrail.serving import nursery as nurseries
from vitrail.serving.begun_process import SECRETS, BegunProcess
from vitrail.serving.nursery import Nursery, nursery

Work = Callable[[Nursery, list[str]], Awaitable[None]]


def nursed(work: Work, *, module: str = "tests.unit.serving.light_nursery") -> list[str]:
    """`work` with a nursery; gives what it told. In the end no process, no file and no trait of this one is left."""
    said: list[str] = []
    before = set(children_of(os.getpid())), adopts()
    with nursery(said.append, module=module) as begun, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(begun, said))
    assert set(children_of(os.getpid())) <= before[0] and adopts() == before[1]
    return said


def adopts() -> int:
    found = ctypes.c_int(-1)
    ctypes.CDLL(None).prctl(37, ctypes.byref(found), 0, 0, 0)  # PR_GET_CHILD_SUBREAPER
    return found.value


async def begun(nursing: Nursery, name: str) -> tuple[BegunProcess, list[str]]:
    """A process, and what it said first. It may end from then on."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        process = await nursing.begun(theirs, name)
        theirs.close()
        told = await asyncio.get_running_loop().sock_recv(ours, 1000)
    return process, told.decode().split()


def test_what_is_forked_is_a_child_of_the_front_which_learns_how_it_ends() -> None:
    async def work(nursing: Nursery, _said: list[str]) -> None:
        endings = {}
        for name in ("ends", "raises", "returns"):
            process, _ = await begun(nursing, name)
            endings[name] = await process.wait()
            assert not Path(f"/proc/{process.pid}").exists(), "not even a zombie is left"
        assert endings == {"ends": 7, "raises": 1, "returns": 0}

    assert nursed(work) == []


def test_what_is_forked_can_be_killed_once_and_says_in_ps_whose_it_is() -> None:
    async def work(nursing: Nursery, _said: list[str]) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = await nursing.begun(theirs, "ants")
            ours.recv(1000)
            assert process.pid in children_of(os.getpid())
            words = Path(f"/proc/{process.pid}/cmdline").read_text().rstrip("\0").split("\0")
            assert words[0] == sys.executable and words[2::2] == ["vitrail.serving.model_process", "ants"]
            process.kill()
            assert await process.wait() == -signal.SIGKILL
            with pytest.raises(ProcessLookupError):
                process.kill()

    assert nursed(work) == []


def test_forked_processes_draw_different_numbers_and_hold_no_file_of_others() -> None:
    async def work(nursing: Nursery, _said: list[str]) -> None:
        processes, told = zip(*[await begun(nursing, "returns") for _ in range(3)], strict=True)
        assert [await each.wait() for each in processes] == [0, 0, 0]
        python, numpy, files = map(set, zip(*told, strict=True))
        assert len(python) == len(numpy) == 3
        assert files == {"4"}  # the standard ones, and its line

    nursed(work)


def test_neither_the_nursery_nor_what_is_forked_knows_a_key_or_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(nursing: Nursery, _said: list[str]) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = await nursing.begun(theirs, "ants")
            assert nursing._process is not None
            for pid in (nursing._process.pid, process.pid):
                known = Path(f"/proc/{pid}/environ").read_text()
                assert "secret" not in known and "PATH=" in known
            process.kill()
            await process.wait()

    for name in SECRETS:
        monkeypatch.setenv(name, "secret")
    nursed(work)


def test_several_are_forked_at_once() -> None:
    async def work(nursing: Nursery, _said: list[str]) -> None:
        processes = [each[0] for each in await asyncio.gather(*(begun(nursing, "ends") for _ in range(5)))]
        assert [await each.wait() for each in processes] == [7] * 5 and len({each.pid for each in processes}) == 5

    assert nursed(work) == []


def test_of_a_process_that_nobody_waits_for_any_more_nothing_is_left() -> None:
    async def work(nursing: Nursery, _said: list[str]) -> None:
        there = set(children_of(os.getpid()))
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            asking = asyncio.create_task(nursing.begun(theirs, "ants"))
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            theirs.close()
            while await asyncio.get_running_loop().sock_recv(ours, 1000):
                pass  # it would wait for ever if it were not killed
        async with asyncio.timeout(10):
            while set(children_of(os.getpid())) > there:
                await asyncio.sleep(0.01)

    assert nursed(work) == []


async def begun_directly_after_all(nursing: Nursery) -> None:
    for _ in range(2):
        ours, theirs = socket.socketpair()
        with theirs:
            process = await nursing.begun(theirs, "ants")
        ours.close()
        assert await process.wait() == 0  # a model process, which nobody gave an order


AFTERWARDS = "; from now on each model process imports torch itself"


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("thread", "2 threads run in it, 1 was expected"),
        ("silent", "it did not answer within 0.3 s"),
        ("nowhere", "its process ended"),
        ("killed", "its process ended"),
    ],
)
def test_where_the_nursery_cannot_fork_models_are_begun_directly_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, fault: str, why: str
) -> None:
    async def work(nursing: Nursery, _said: list[str]) -> None:
        if fault == "killed":
            assert await (await begun(nursing, "ends"))[0].wait() == 7
            assert nursing._process is not None
            nursing._process.kill()
        await begun_directly_after_all(nursing)

    monkeypatch.setenv("LIGHT_NURSERY", fault)
    if fault == "silent":
        monkeypatch.setattr(nurseries, "FIRST_SECONDS", 0.3)
    module = "tests.unit.serving.nowhere" if fault == "nowhere" else "tests.unit.serving.light_nursery"
    assert nursed(work, module=module) == [f"nursery  {why}{AFTERWARDS}"]


def test_where_the_nursery_cannot_even_be_begun_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(nursing: Nursery, _said: list[str]) -> None:
        monkeypatch.undo()
        await begun_directly_after_all(nursing)

    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert nursed(work) == [f"nursery  could not be begun: No such file or directory{AFTERWARDS}"]


def test_where_processes_have_no_handles_there_is_no_nursery(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(nursing: Nursery, _said: list[str]) -> None:
        assert nursing._process is None
        await begun_directly_after_all(nursing)

    monkeypatch.delattr(os, "pidfd_open")
    assert nursed(work) == []
