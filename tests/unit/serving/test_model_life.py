"""Processes that die at once, cannot be begun, say nonsense or nothing: none leaves anything behind.

A stand-in is run instead of a model: no model does what is tested here when it is asked to. Real ones are killed,
stopped and starved in `tests/journeys/test_serving_faults.py`.
"""

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests.serving import children_of
from vitrail.serving.model_faults import ModelFault, TooLate
from vitrail.serving.model_order import Bounds, ModelOrder
from vitrail.serving.served_model import ServedModel

QUICK = Bounds(hang_seconds=0.4, load_seconds=5.0, restart_seconds=0.01, longest_restart_seconds=0.02)


def lived(work: Callable[[ServedModel, list[str]], Coroutine[Any, Any, None]]) -> None:
    """`work` with a model under way; in the end nothing is left: no task, no file, no process, no unheard error."""

    async def live() -> None:
        said: list[str] = []
        unheard: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        model = ServedModel(
            "ants", ModelOrder("nowhere"), QUICK, told=lambda _, why: said.append(why), shifted=lambda *_: None
        )  # fmt: skip
        model.start()
        await model.until_loaded()
        await work(model, said)
        await model.stop(seconds=1.0)
        gc.collect()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1 and unheard == [] and model.state == "stopped"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.sleep(0))
        gc.collect()
        before = open_files(), children_of(os.getpid())
        runner.run(live())
        gc.collect()  # what other tests have left is no matter of this one
        assert open_files() <= before[0]
        assert set(children_of(os.getpid())) <= set(before[1])  # those of other tests may end meanwhile


def open_files() -> int:
    """Without /dev/null, which a loop of uvloop keeps open once it has begun a process."""
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return sum(os.path.exists(link) and os.readlink(link) != "/dev/null" for link in links)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.01)


def test_twenty_processes_that_die_leave_no_file_no_zombie_and_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")

    async def work(model: ServedModel, said: list[str]) -> None:
        await until(lambda: model.restarts == 5)
        early = open_files()
        await until(lambda: model.restarts == 20)
        assert open_files() <= early + 4 and len(children_of(os.getpid())) <= 1 + others
        assert "could not be loaded: its process ended with code 0; it is started again in 0.0 s" in said

    others = len(children_of(os.getpid()))
    lived(work)


def test_a_process_that_cannot_even_be_begun_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    async def work(model: ServedModel, said: list[str]) -> None:
        await until(lambda: model.restarts == 3)
        assert said[0].startswith("could not be begun: FileNotFoundError: No such file or directory; it is started")
        with pytest.raises(ModelFault, match="model ants "):
            await model.ask(b"", deadline=1e12)

    lived(work)


@pytest.mark.parametrize(
    "says",
    [
        "line.sendall(b'GET / HTTP/1.1' * 1000)", "line.sendall(bytes(12))", "say([1])", "say({'kind': 1})",
        "say({'kind': 'refused'})",
    ],
)  # fmt: skip
def test_a_process_that_says_nonsense_is_ended_and_begun_again(stands_in: Any, says: str) -> None:
    stands_in(says)

    async def work(model: ServedModel, said: list[str]) -> None:
        await until(lambda: model.restarts == 2)
        assert said[0].startswith("could not be loaded: ")

    lived(work)


FIGURES = "'prediction': {}, 'decoding': 0.0, 'computing': 0.0, 'batch': 1"
ANSWER = f"{{'kind': 'answer', 'id': told['id'], {FIGURES}}}"
LOOP = f"say({{'kind': 'ready'}})\nwhile True:\n    told, _ = hear()\n    if told['kind'] == 'image': say({ANSWER})"


def test_answers_without_what_belongs_to_them_or_to_nobody_are_faults_of_the_model(stands_in: Any) -> None:
    stands_in(
        "say({'kind': 'ready'})\nwhile True:\n    told, _ = hear()\n    if told['kind'] == 'image':\n"
        "        for other in (77, 'x', None, [1]): say({'kind': 'answer', 'id': other})\n"
        "        say({'kind': 'answer', 'id': told['id']})"
    )

    async def work(model: ServedModel, _said: list[str]) -> None:
        for _ in range(3):
            with pytest.raises(ModelFault, match="model ants said what is no answer"):
                await model.ask(b"x", deadline=asyncio.get_running_loop().time() + 1e6)
        assert model.waiting == 0 and model.state == "ready"

    lived(work)


def test_a_model_that_never_answers_is_ended_though_nobody_waits_any_more(stands_in: Any) -> None:
    stands_in("say({'kind': 'ready'})\nwhile True: hear()")

    async def work(model: ServedModel, said: list[str]) -> None:
        with pytest.raises(TooLate, match=r"model ants had not answered after 0\.1 s"):
            await model.ask(b"x", deadline=asyncio.get_running_loop().time() + 0.1)
        assert model.waiting == 1  # the process still holds it
        await until(lambda: any("did not say a word for 0.4 s while it was asked" in why for why in said))
        await until(lambda: model.state == "ready" and model.waiting == 0)

    lived(work)


def test_a_process_that_does_not_notice_that_its_line_is_closed_is_killed(stands_in: Any) -> None:
    stands_in("say({'kind': 'ready'})\ntime.sleep(60)")

    async def work(model: ServedModel, _said: list[str]) -> None:
        assert model.pid in children_of(os.getpid()) and model.state == "ready"

    began = time.monotonic()
    lived(work)  # and nothing is left
    assert time.monotonic() - began < 30


def test_who_is_cancelled_costs_nothing_and_what_is_asked_when_it_is_stopped_is_answered(stands_in: Any) -> None:
    stands_in(LOOP.replace("say({'kind': 'answer'", "time.sleep(0.1); say({'kind': 'answer'"))

    async def work(model: ServedModel, _said: list[str]) -> None:
        late = asyncio.get_running_loop().time() + 100
        gone = asyncio.create_task(model.ask(b"x", deadline=late))
        await asyncio.sleep(0.02)
        gone.cancel()
        asked = [asyncio.create_task(model.ask(b"x", deadline=late)) for _ in range(3)]
        await asyncio.sleep(0.02)
        await model.stop(seconds=5.0)
        assert [(await each).batch for each in asked] == [1, 1, 1] and gone.cancelled()
        with pytest.raises(ModelFault, match="was stopped"):
            await model.ask(b"x", deadline=late)

    lived(work)
