"""What goes to stdout and stderr: words with names in them that a terminal must not obey, and tables for programs."""

import contextlib
import os
import sys
from collections.abc import Iterator

import typer

from vitrail.basics.printable import printable


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """End quietly with exit code 0 when whoever reads stdout has seen enough (`vitrail predict … | head`)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def tell(text: str, *, err: bool = False, colour: str | None = None) -> None:
    """Print words for people. Line breaks are ours; a name within them goes through `printable` first."""
    typer.secho(printable(text, lines=True), fg=colour, err=err)
