"""What goes to stdout."""

import contextlib
import os
import sys
from collections.abc import Iterator

import typer


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """End quietly with exit code 0 when whoever reads stdout has seen enough (`vitrail predict … | head`)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
