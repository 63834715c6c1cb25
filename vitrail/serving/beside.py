"""What stands beside the answering in a server: handed in by whoever begins it, so that serving knows nothing of it."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from starlette.routing import BaseRoute

from vitrail.serving.console.panels import Panel
from vitrail.serving.keys import Keys


@runtime_checkable
class Beside(Protocol):
    """Panels of a server's console, addresses of its own, and what runs as long as it does.

    Attributes:
        panels: shown before the console's own, in their order.
    """

    panels: Sequence[Panel]

    def routes(self, keys: Keys) -> Sequence[BaseRoute]:
        """Addresses, none of which the server has; each looks after its own door, see `serving.guarding.guarded`."""

    def start(self) -> None:
        """Called before the first request is answered; must not block."""

    def stop(self) -> None:
        """Called once, when the last request was answered, in a thread; may take a few seconds."""


@contextlib.contextmanager
def standing_beside(beside: Sequence[Beside]) -> Iterator[None]:
    """Started one after the other and stopped the other way round, also where one of them fails."""
    with contextlib.ExitStack() as stack:
        for each in beside:
            each.start()
            stack.callback(each.stop)
        yield
