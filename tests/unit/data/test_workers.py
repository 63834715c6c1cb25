import importlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from vitrail.basics.errors import InputError, SystemFault
from vitrail.data.workers import map_in_workers, stop_workers


def slow_square(number: int) -> int:
    time.sleep(0.001 * (number % 3))
    return number * number


def die(number: int) -> int:
    os._exit(1)


def refuse(number: int) -> int:
    raise InputError(f"{number} is refused", hint="another one")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_order_whatever_the_number_of_workers(workers):
    assert list(map_in_workers(slow_square, range(200), workers=workers, chunk=7)) == [n * n for n in range(200)]


def test_an_endless_stream_is_read_only_as_far_as_needed():
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield taken[-1]

    results = map_in_workers(slow_square, endless(), workers=2, chunk=4)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(taken) <= 4 * (4 * 2 + 2)


def test_an_error_in_a_worker_arrives_with_its_hint():
    with pytest.raises(InputError, match="0 is refused\nhint: another one"):
        list(map_in_workers(refuse, range(10), workers=1))


def test_a_worker_that_dies_is_told_and_the_next_call_works():
    with pytest.raises(SystemFault, match="a worker process died while reading images"):
        list(map_in_workers(die, range(10), workers=1))
    assert list(map_in_workers(slow_square, range(3), workers=1)) == [0, 1, 4]


def test_a_script_without_a_main_guard_is_not_run_again_by_the_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom vitrail.data.workers import map_in_workers, stop_workers\nprint('script runs')\n"
        "print(sum(map_in_workers(len, ['ab'] * 50, workers=2)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "script runs\n100\n", done.stderr


def test_workers_leave_when_their_caller_is_killed_even_with_results_that_nobody_reads(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\nfrom vitrail.data.workers import map_in_workers, stop_workers\n"
        "def work(number):\n"
        f"    open({str(tmp_path)!r} + '/' + str(os.getpid()) + '.pid', 'w').close()\n"
        "    return bytes(1_000_000)\n"
        "results = map_in_workers(work, range(100), workers=2, chunk=1)\n"
        "next(results)\nprint('running', flush=True)\ntime.sleep(600)\n"
    )
    caller = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert caller.stdout.readline() == "running\n"
    workers = [int(file.stem) for file in tmp_path.glob("*.pid")]
    assert workers
    assert all(map(is_running, workers))
    caller.kill()
    caller.wait()
    caller.stdout.close()
    deadline = time.monotonic() + 30
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_running, workers))


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_caller_that_is_killed_leaves_no_words_of_the_worker_library_behind():
    code = (
        "import os; from vitrail.data.workers import map_in_workers, stop_workers\n"
        "assert list(map_in_workers(abs, range(4), workers=1)) == [0, 1, 2, 3]\n"
        "assert 'PYTHONWARNINGS' not in os.environ\nos.kill(os.getpid(), 9)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert ended.returncode == -9
    assert ended.stderr == ""


def blocked_signals(_: int) -> set[signal.Signals]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_never_hear_ctrl_c_not_even_while_they_begin_and_their_caller_still_does():
    stop_workers()
    assert all(signal.SIGINT in each for each in map_in_workers(blocked_signals, range(4), workers=2, chunk=1))
    assert signal.SIGINT not in blocked_signals(0)


def test_workers_that_are_stopped_amid_cancelled_work_print_nothing(capfd):
    results = map_in_workers(slow_square, range(2000), workers=1, chunk=50)
    next(results)
    results.close()
    stop_workers()
    assert capfd.readouterr() == ("", "")


def test_threads_that_start_workers_at_once_leave_the_environment_as_it_was(monkeypatch):
    find = importlib.import_module

    def find_slowly(name):
        time.sleep(0.05)
        return find(name)

    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    monkeypatch.setattr(importlib, "import_module", find_slowly)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda start: list(map_in_workers(slow_square, [start], workers=1)), range(3)))
    assert found == [[0], [1], [4]]
    assert "PYTHONWARNINGS" not in os.environ
