"""Arithmetic of the load generator, and what a stall looks like in both of its loops."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving_parts.load import LoadOrder, figures
from benchmarks.serving_parts.load_figures import Answered, figures_of_load, quantile, server_times
from benchmarks.serving_parts.turns import at_equal_p99


def test_quantiles_are_values_that_were_measured() -> None:
    assert [quantile([1.0, 2.0, 3.0, 4.0], share) for share in (0.0, 0.25, 0.5, 0.75, 0.99, 1.0)] == [
        1.0, 1.0, 2.0, 3.0, 4.0, 4.0
    ]  # fmt: skip
    assert quantile([float(n) for n in range(1, 101)], 0.99) == 99.0
    assert quantile([7.0], 0.5) == 7.0


def test_times_run_from_when_a_question_was_due_and_not_from_when_it_was_asked() -> None:
    answers = [Answered(due=1.0, asked=1.5, answered=1.6, status=200)]
    found = figures_of_load(answers, first=0.0, end=2.0, by_due_time=True)
    assert found["milliseconds"]["p50"] == pytest.approx(600.0)
    assert found["most_late_milliseconds"] == pytest.approx(500.0)


def test_an_open_loop_is_judged_by_what_was_due_in_its_time_and_throughput_by_what_was_answered_in_it() -> None:
    answers = [
        Answered(0.5, 0.5, 1.5, 200),  # due before it began, answered within
        Answered(1.2, 1.2, 1.3, 200),
        Answered(1.9, 1.9, 9.9, 200),  # due within, answered long after
        Answered(1.8, 1.8, 1.81, 503),
        Answered(2.5, 2.5, 2.6, 200),  # after the end
    ]
    found = figures_of_load(answers, first=1.0, end=2.0, by_due_time=True)
    assert found["statuses"] == {"200": 2, "503": 1} and found["per_second"] == 2.0
    assert found["milliseconds"]["most"] == pytest.approx(8000.0)
    assert found["milliseconds_of_503"]["p99"] == pytest.approx(10.0)
    closed = figures_of_load(answers, first=1.0, end=2.0, by_due_time=False)
    assert closed["statuses"] == {"200": 2, "503": 1} and closed["milliseconds"]["most"] == pytest.approx(1000.0)


def test_what_a_server_does_around_decoding_and_computing_is_what_they_leave_of_the_whole() -> None:
    said = ["wait;dur=1.00, decode;dur=2.00, compute;dur=3.00, total;dur=6.50"] * 3
    found = server_times(said)["server_milliseconds"]
    assert found == {"wait": 1.0, "decode": 2.0, "compute": 3.0, "total": 6.5, "around": 1.5}
    assert server_times([]) == {}


def test_throughput_counts_only_where_the_tail_is_no_longer_than_the_peers() -> None:
    def point(per_second: float, p99: float) -> list[dict[str, Any]]:
        return [{"per_second": per_second, "milliseconds": {"p99": p99}}]

    ours = {1: point(20.0, 50.0), 8: point(40.0, 200.0), 64: point(60.0, 900.0)}
    found = {"ours": ours, "peer": {8: point(20.0, 200.0)}, "slow": {8: point(20.0, 40.0)}}
    assert at_equal_p99(found, ours="ours", peer="peer", clients=8)["median"] == 2.0
    assert at_equal_p99(found, ours="ours", peer="slow", clients=8)["median"] == 0.0


async def _asked(folder: Path, **order: Any) -> dict[str, Any]:
    """Of a server that takes 0.3 s for its first question, one after the other, and no time for all others."""
    turns, first = asyncio.Lock(), [0.3]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            async with turns:
                await asyncio.sleep(first.pop() if first else 0.0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    (folder / "request").write_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    port = server.sockets[0].getsockname()[1]
    async with server:
        order = {"port": port, "request": str(folder / "request"), "seconds": 0.6, "warm_seconds": 0.0, **order}
        found = await figures(LoadOrder(**order))
        await asyncio.sleep(0.05)  # until the server has noticed that the connections are closed
        return found


def test_a_stall_is_felt_by_all_that_were_due_in_it_where_arrivals_wait_for_nobody(tmp_path: Path) -> None:
    opened = asyncio.run(_asked(tmp_path, rate=200.0))
    closed = asyncio.run(_asked(tmp_path, clients=1))
    assert closed["milliseconds"]["most"] > 290 and closed["milliseconds"]["p95"] < 100
    assert opened["milliseconds"]["p95"] > 150 and opened["unanswered"] == 0
    assert 60 < opened["statuses"]["200"] < 200
