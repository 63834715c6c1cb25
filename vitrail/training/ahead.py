"""Batches that are made a little before they are needed, by a thread of their own."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")

MOST_AHEAD = 2


def made_ahead(make: Callable[[int], Made], steps: Iterable[int]) -> Iterator[Made]:
    """`make(step)` for every step, in order; while one result is used, the next ones are being made.

    Whoever stops taking waits for what was begun; what `make` raises is raised where its result is taken.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        coming: deque[Future[Made]] = deque()
        for step in steps:
            coming.append(thread.submit(make, step))
            if len(coming) > MOST_AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
