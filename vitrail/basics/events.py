"""Events: small read-only records of what happened, sent to sinks that were handed in.

A part that does long work takes an `emit` argument and calls it; whoever listens (progress bar, journal,
nothing at all) can never change what happens.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    def line(self) -> str | None:
        """What somebody who watches reads of it in one line; None: nothing."""
        return None


@dataclass(frozen=True)
class WorkStarted(Event):
    """A long piece of work begins. `total` counts `unit`s; None when it is not known."""

    work: str
    total: int | None
    unit: str = "images"


@dataclass(frozen=True)
class WorkAdvanced(Event):
    """`by` more units of `work` are done."""

    work: str
    by: int = 1


@dataclass(frozen=True)
class WorkDescribed(Event):
    """How `work` is going, in a few words."""

    work: str
    text: str


@dataclass(frozen=True)
class WorkEnded(Event):
    """`work` is over, finished or not."""

    work: str


@dataclass(frozen=True)
class Noted(Event):
    """A sentence for the person who watches. `level` is `info` or `warning`."""

    text: str
    level: str = "info"


@dataclass(frozen=True)
class Recovered(Noted):
    """Something that was stored is not what was written, and what was done about it. A run journals these."""

    level: str = "warning"


Emit = Callable[[Event], None]


def nobody(_event: Event) -> None:
    """The sink that ignores everything: `emit=vitrail.nobody` makes a call silent."""


def watched(items: Iterable[Item], emit: Emit, *, work: str, total: int | None, unit: str = "images") -> Iterator[Item]:
    """Yield `items` one by one, telling `emit` about start, every item and the end."""
    emit(WorkStarted(work, total, unit))
    try:
        for item in items:
            yield item
            emit(WorkAdvanced(work))
    finally:
        emit(WorkEnded(work))
