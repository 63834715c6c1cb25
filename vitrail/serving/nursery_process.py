"""The nursery: imports what model processes need, and forks one whenever the front asks. It computes nothing itself.

Only a process that has one thread and has not touched an accelerator can be forked safely: so it imports and does
nothing else, and looks before every fork. The front sends the name of a model and the model's end of a line; it is told
`forked` and the number of the process, or `refused` and why. What is forked is the front's child: it is forked by a
process between, which ends at once, so that the front adopts it.
"""

import ctypes
import gc
import os
import random
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from vitrail.serving.model_process import live, live_with_the_front, model_loader
from vitrail.serving.nursery import MOST_BYTES

_ARGUMENTS_BEGIN = 45
"""Index in /proc/self/stat, behind the name, of where the command line begins in memory; its end is next."""

Live = Callable[[socket.socket, str], None]


def main() -> None:
    """`python -m vitrail.serving.nursery_process NUMBER-OF-THE-SOCKET ROOM-FOR-NAMES`."""
    live_with_the_front()
    line = socket.socket(fileno=int(sys.argv[1]))
    try:
        model_loader()
    except Exception as error:  # noqa: BLE001 - whatever it is, the front begins models directly, which say it too
        sys.stderr.write(f"nursery: {error}\n")
        return
    nurse(line, live)


def nurse(line: socket.socket, grow: Live) -> None:
    """Fork a process for whoever is asked for, until the front is gone.

    Args:
        line: to the front.
        grow: what a forked process does, which ends then.
    """
    show_command_line([*_command(), "vitrail.serving.nursery_process"])
    gc.collect()
    gc.freeze()  # so that no collection writes to memory that all share
    while True:
        name, handles, _, _ = socket.recv_fds(line, MOST_BYTES, 1)
        if not name:
            return
        (theirs,) = handles
        try:
            reply = f"forked {_forked(line, theirs, name.decode(), grow)}"
        except (OSError, RuntimeError) as error:
            reply = f"refused {error}"
        os.close(theirs)
        line.send(reply.encode()[:MOST_BYTES])


def _forked(line: socket.socket, theirs: int, name: str, grow: Live) -> int:
    """Number of a process that grows up."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"{threads} threads run in it, 1 was expected")
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        _fork_again(writing, lambda: _grow_up(line, reading, theirs, name, grow))
    os.close(writing)
    os.waitpid(between, 0)  # from here on the front has adopted the other one
    with open(reading, "rb") as told:
        pid = told.read()
    if not pid:
        raise RuntimeError("a process could not be forked")
    return int(pid)


def _fork_again(writing: int, grow_up: Callable[[], None]) -> None:
    """In the process between, and in the new one; neither returns."""
    between = os.getpid()
    try:
        pid = os.fork()
        if pid:
            os.write(writing, str(pid).encode())
        else:
            os.close(writing)
            while os.getppid() == between:  # whose end would be taken for the front's
                time.sleep(0.001)
            grow_up()
    except BaseException:  # noqa: BLE001 - what is raised here must not go on as the nursery
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    finally:
        sys.stderr.flush()
        os._exit(0)


def _grow_up(line: socket.socket, reading: int, theirs: int, name: str, grow: Live) -> None:
    """In the new process: nothing of the nursery is left in it but what was imported."""
    line.close()
    os.close(reading)
    connection = socket.socket(fileno=theirs)
    show_command_line([*_command(), "vitrail.serving.model_process", str(theirs), name])
    _seed_anew()
    grow(connection, name)


def _seed_anew() -> None:
    """Processes that are forked would draw the same numbers. Python seeds its own when it forks."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()


def _command() -> list[str]:
    return [sys.executable, "-m"]


def show_command_line(words: list[str]) -> None:
    """What `ps` shows of this process, as far as there is room; where that cannot be changed it stays as it is."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = (int(field) for field in fields[_ARGUMENTS_BEGIN : _ARGUMENTS_BEGIN + 2])
    text = b"".join(word.encode() + b"\0" for word in words)
    if end - begin >= len(text):
        ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)


if __name__ == "__main__":
    main()
