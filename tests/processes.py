"""Commands in processes of their own that begin at once: forked from a process that has imported torch already.

They end, are stopped and are killed as any process is; only the seconds in which Python reads libraries are saved. Each
has a session of its own, computes on one thread, and writes what it prints to a file.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "pytest",
        "timm",
        "torch",
        "vitrail.workflows.fit.finish",
        "vitrail.workflows.features.write",
        "vitrail.serving.loaded_model",
        "vitrail.serving.run_server",
    ]
)


class Running:
    """A process under way, with the verbs of `subprocess.Popen` that tests use."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.pid: int = process.pid or 0

    def poll(self) -> int | None:
        """The exit code, negative where a signal ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float = 120) -> int:
        """The exit code, as soon as it has ended."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self.pid} still runs after {seconds} s")
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """To this process alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """This process alone."""
        os.kill(self.pid, signal.SIGKILL)

    def kill_with_its_workers(self) -> None:
        """End it and all that it started, if anything of it is left."""
        for kill in (os.killpg, os.kill):  # the second for one that has no group of its own yet
            with contextlib.suppress(ProcessLookupError):
                kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait_until_stopped(self, seconds: float = 120) -> None:
        """Until SIGSTOP has stopped it."""
        deadline = time.monotonic() + seconds
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} was not stopped within {seconds} s")
            time.sleep(0.01)


@contextlib.contextmanager
def running(
    function: Callable[..., Any], *arguments: Any, printed: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """`function(*arguments)` in a process that does not outlive the block.

    Args:
        function: of a module that can be imported.
        arguments: picklable.
        printed: file that receives output and errors.
        environment: beside this process's own.
    """
    _start_server()
    own = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    process = _FORKS.Process(target=_begin, args=(str(printed), own, function, arguments))
    process.start()
    under_way = Running(process)
    try:
        yield under_way
    finally:
        under_way.kill_with_its_workers()


def assert_holds_in_its_own_process(function: Callable[..., Any], *arguments: Any, printed: Path) -> None:
    """`function(*arguments)` raises nothing. For what sends signals to itself: one that comes late would end pytest."""
    with running(function, *arguments, printed=printed) as process:
        code = process.wait()
        assert code == 0, printed.read_text(errors="replace")


def vitrail(*typed: Any) -> None:
    """The command, in a process that does nothing else."""
    from vitrail.cli import main

    sys.argv = ["vitrail", *map(str, typed)]
    main.entry()


def _start_server() -> None:
    before = dict(os.environ)
    # What is read when libraries are imported: one thread each, so that what is forked may fork, too.
    os.environ.update(OMP_NUM_THREADS="1", JE_ARROW_MALLOC_CONF="background_thread:false")
    forkserver.ensure_running()
    for name in ("OMP_NUM_THREADS", "JE_ARROW_MALLOC_CONF"):
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]


def _begin(printed: str, environment: Mapping[str, str], function: Callable[..., Any], arguments: tuple) -> None:
    os.setsid()
    file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)
