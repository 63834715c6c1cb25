"""What goes to stdout and stderr: printing never ends what was being done, on whatever terminal or disk."""

import codecs
import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

import typer

from vitrail.basics.errors import SystemFault
from vitrail.basics.printable import printable

_SPELLED = str.maketrans(
    {"…": "...", "≥": ">=", "≤": "<=", "±": "+-", "→": "->"}
    | dict(zip("–—−×·•‘’“”\xa0━╸╺─│╭╮╰╯", "---x-*''\"\" ----|++++", strict=True))
)
"""How to spell what a terminal cannot show."""


def make_printing_safe() -> None:
    """Let stdout and stderr take every text: what their encoding lacks is spelled otherwise, a closed one swallows."""
    codecs.register_error("spelled", _spelled)
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8", errors="spelled"))  # noqa: SIM115 - as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="spelled")


def tell(text: str, *, err: bool = False, colour: str | None = None) -> None:
    """Print words for people. Line breaks are ours; a name within them goes through `printable` first.

    Where stderr cannot be written, nobody reads it and nothing happens.
    """
    with contextlib.suppress(*((OSError, ValueError) if err else ())):
        typer.secho(printable(text, lines=True), fg=colour, err=err)


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """End quietly with exit code 0 when whoever reads stdout has seen enough (`vitrail predict … | head`)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        swallow_stdout()
        raise typer.Exit(0) from None


@contextlib.contextmanager
def explained_printing() -> Iterator[None]:
    """Flush stdout at the end, and turn its faults, and the machine's, into what they mean.

    Raises:
        SystemFault: stdout cannot be written, e.g. its disk is full, and what the command did is done; or something
            else of the machine is full.
    """
    try:
        with reader_may_leave():
            yield
    except SystemExit as end:  # click ends so, with code 1, where the reader left
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        swallow_stdout()
        raise typer.Exit(0) from None
    except OSError as error:
        raise _explained(error) from error


def _explained(error: OSError) -> SystemFault:
    why = error.strerror or str(error)
    if error.errno == errno.ENOMEM:
        return not_enough_memory()
    if error.filename is not None:
        return SystemFault(f"{error.filename}: {why}")
    try:  # whether it was stdout: nothing else tells
        sys.stdout.write("\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        swallow_stdout()
        return SystemFault(
            f"stdout could not be written: {why}", hint="send it elsewhere; what the command did is done"
        )
    hint = "free some space, also in /tmp and /dev/shm, or use --workers 0, which needs no shared memory"
    return SystemFault(f"the machine refused: {why}", hint=hint if error.errno == errno.ENOSPC else None)


def not_enough_memory() -> SystemFault:
    """What to raise where memory does not suffice."""
    hint = "close other programs, or ask for less: --workers 1, --set batch_size=1, a smaller --image-size"
    return SystemFault("the memory of this machine does not suffice", hint=hint)


def tells_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice: for Python, torch, or the loader of libraries."""
    words = ("allocate memory", "failed to map segment", "bad_alloc", "out of memory", "can't start new thread")
    return isinstance(error, MemoryError) or any(each in str(error) for each in words)


def swallow_stdout() -> None:
    """Send what is still in stdout's buffer, and all that follows, nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def flush_what_can_be() -> None:
    """Flush stdout and stderr at the end of the process."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    spelled = "".join(each.translate(_SPELLED) for each in text)
    return spelled.encode(error.encoding, "backslashreplace").decode(error.encoding), error.end
