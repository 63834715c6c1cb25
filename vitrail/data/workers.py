"""Work on many files in worker processes: in order, with a bounded number of results in flight.

Workers start without re-importing the caller's script (so `vitrail.fit(...)` works at the top level of any
script or notebook) and without torch: a worker that only decodes is ready in a fraction of a second.
"""

import contextlib
import importlib
import io
import itertools
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import loky
from loky.process_executor import TerminatedWorkerError

from vitrail.basics.errors import SystemFault
from vitrail.basics.quiet import quiet
from vitrail.data.readers.known import other_readers, use_readers
from vitrail.data.readers.reader import Reader

Item = TypeVar("Item")
Result = TypeVar("Result")

_pools: dict[int, Any] = {}
"""The pools that were started, so that they can be stopped."""
_starting = threading.Lock()
"""Held while a pool is found or started, which changes the environment for a moment."""


def usable_cores() -> int:
    """Number of processor cores that this process may use (its affinity, not the machine's size)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_workers(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, chunk: int = 16
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in the order of `items`.

    The first tasks are submitted when the function is called, not when the first result is asked for, so the
    caller can do other work meanwhile. At most `4 * workers` chunks of `chunk` items are in flight.

    Args:
        function: a module-level function; it and its results must be picklable.
        items: any iterable, also an endless one: it is read as results are taken.
        workers: number of processes; 0 works in this process.
        chunk: items that travel together.

    Raises:
        SystemFault: a worker process died, e.g. killed by the system for lack of memory.
    """
    if workers <= 0:
        return map(function, items)
    chunks = _chunks(items, chunk)
    executor = _executor(workers)
    waiting: deque[Future] = deque(_submitted(executor, function, chunks, 4 * workers))
    return _in_order(executor, function, chunks, waiting)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while part := list(itertools.islice(iterator, size)):
        yield part


def _in_order(executor: Any, function: Callable, chunks: Iterator[list], waiting: deque[Future]) -> Iterator[Any]:
    try:
        while waiting:
            results = waiting.popleft().result()
            waiting.extend(_submitted(executor, function, chunks, 1))
            yield from results
    except TerminatedWorkerError as error:
        raise SystemFault(
            f"a worker process died while reading images: {error}",
            hint="memory is the usual reason; try again with --workers 1",
        ) from error
    finally:
        for future in waiting:
            future.cancel()


def _submitted(executor: Any, function: Callable, chunks: Iterator[list], most: int) -> Iterator[Future]:
    for part in itertools.islice(chunks, most):
        with _deaf_to_ctrl_c():  # a worker may begin here, also in the place of one that left
            future = executor.submit(_apply, other_readers(), function, part)
        yield future


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes and threads that begin in the block never get SIGINT: a worker that is still importing, and cannot
    ignore it yet, would tell the terminal where it was. Whoever is in the block gets it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _apply(
    readers: tuple[Reader, ...], function: Callable[[Item], Result], items: list[Item]
) -> list[Result]:  # fmt: skip
    """In a worker, which knows none of the readers that were registered in its caller."""
    use_readers(readers)
    return [function(item) for item in items]


def _begin_worker(caller: int) -> None:
    """Ctrl-C reaches all processes of a terminal; a worker that it kills half-way through a result leaves the caller
    waiting for the other half for ever. And a worker whose caller was killed would wait for ever for its reader."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(caller,), daemon=True).start()


def _leave_with(caller: int) -> None:
    while os.getppid() == caller:
        time.sleep(1)
    os._exit(1)


def stop_workers() -> None:
    """End this process's workers at once, where there are any; the next call of `map_in_workers` starts new ones."""
    while _pools:
        # loky's thread stumbles over work that was cancelled, and prints it; Ctrl-C may have come before it began.
        with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(RuntimeError):
            _pools.popitem()[1].shutdown(wait=True, kill_workers=True)


_TRACKERS = ("loky.backend", "joblib.externals.loky.backend", "multiprocessing")
"""Who may start a process that clears away semaphores: joblib brings a loky of its own, and the two mix."""


def _start_quiet_trackers() -> None:
    """A process that clears away semaphores after a killed caller says so on the terminal; its duty is enough.

    All begin here: whoever starts one lets this process hear Ctrl-C again, see `_deaf_to_ctrl_c`.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker" + (f",{before}" if before else "")
    try:
        for each in _TRACKERS:
            if each in sys.modules:
                importlib.import_module(f"{each}.resource_tracker").ensure_running()
    finally:
        os.environ.pop("PYTHONWARNINGS")
        os.environ.update({} if before is None else {"PYTHONWARNINGS": before})


def _executor(workers: int) -> Any:
    """The process pool of this process, shared by all calls; idle workers leave after a minute."""
    # The processes are the parallelism: numeric libraries inside a worker keep to one thread.
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with _starting:
        _start_quiet_trackers()
        with quiet(UserWarning), _deaf_to_ctrl_c():
            pool = loky.get_reusable_executor(
                max_workers=workers, timeout=60, reuse=True, initializer=_begin_worker, initargs=(os.getpid(),),
                env=one_thread,
            )  # fmt: skip
    _pools[id(pool)] = pool
    return pool
