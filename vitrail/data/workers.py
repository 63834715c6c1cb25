"""Work on many files in worker processes: in order, with a bounded number of results in flight.

Workers start without re-importing the caller's script (so `vitrail.fit(...)` works at the top level of any
script or notebook) and without torch: a worker that only decodes is ready in a fraction of a second.
"""

import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import loky
from loky.backend import resource_tracker
from loky.process_executor import TerminatedWorkerError

from vitrail.basics.errors import SystemFault
from vitrail.basics.quiet import quiet

Item = TypeVar("Item")
Result = TypeVar("Result")

_pools: dict[int, Any] = {}
"""The pools that were started, so that they can be stopped."""


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
    waiting: deque[Future] = deque(
        executor.submit(_apply, function, part) for part in itertools.islice(chunks, 4 * workers)
    )
    return _in_order(executor, function, chunks, waiting)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while part := list(itertools.islice(iterator, size)):
        yield part


def _in_order(executor: Any, function: Callable, chunks: Iterator[list], waiting: deque[Future]) -> Iterator[Any]:
    try:
        while waiting:
            results = waiting.popleft().result()
            waiting.extend(executor.submit(_apply, function, part) for part in itertools.islice(chunks, 1))
            yield from results
    except TerminatedWorkerError as error:
        raise SystemFault(
            f"a worker process died while reading images: {error}",
            hint="memory is the usual reason; try again with --workers 1",
        ) from error
    finally:
        for future in waiting:
            future.cancel()


def _apply(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
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
        _pools.popitem()[1].shutdown(wait=True, kill_workers=True)


def _start_quiet_tracker() -> None:
    """loky's process that clears away semaphores after a killed caller says so on the terminal; its duty is enough."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker" + (f",{before}" if before else "")
    try:
        resource_tracker.ensure_running()
    finally:
        os.environ.pop("PYTHONWARNINGS")
        os.environ.update({} if before is None else {"PYTHONWARNINGS": before})


def _executor(workers: int) -> Any:
    """The process pool of this process, shared by all calls; idle workers leave after a minute."""
    # The processes are the parallelism: numeric libraries inside a worker keep to one thread.
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    _start_quiet_tracker()
    with quiet(UserWarning):
        pool = loky.get_reusable_executor(
            max_workers=workers, timeout=60, reuse=True, initializer=_begin_worker, initargs=(os.getpid(),),
            env=one_thread,
        )  # fmt: skip
    _pools[id(pool)] = pool
    return pool
