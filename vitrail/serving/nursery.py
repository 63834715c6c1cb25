"""The front's side of the nursery: a process that has imported torch already, from which models' processes are forked.

Python reads torch and timm for some four seconds. The nursery does so once for a server; what is forked from it begins
in hundredths of a second and shares the memory of the libraries. A process that the nursery forks is a child of the
front, as one that is begun directly: the front, not the nursery, learns how it ends. See `nursery_process` for the
other side.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

from vitrail.serving.begun_process import BegunProcess, begun_directly, environment_of_models

FIRST_SECONDS, SECONDS = 120.0, 10.0
"""Within which a nursery has forked its first process, for which it imports first, and any other."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Keeps NumPy and pyarrow from beginning threads when they are imported: those of a process are lost when it forks."""

NAME_ROOM = " " * 100
"""On the nursery's command line; a forked process writes its own there, which ends with the name of its model."""

MOST_BYTES = 1000
"""Of a message between front and nursery."""

_ADOPTS, _IS_ADOPTING = 36, 37
"""`PR_SET_CHILD_SUBREAPER` and `PR_GET_CHILD_SUBREAPER` of Linux."""


class NurseryFault(Exception):
    """The nursery cannot fork a process, and why."""


@contextlib.contextmanager
def nursery(tell: Callable[[str], None], *, module: str = "vitrail.serving.nursery_process") -> Iterator["Nursery"]:
    """A nursery that lives as long as the block; where there can be none, processes are begun directly.

    Args:
        tell: receives why there is none any more.
        module: what the nursery's process runs.
    """
    begun = Nursery(tell)
    if not _is_possible():
        yield begun
        return
    with _adopting():
        begun.start(module)
        try:
            yield begun
        finally:
            begun.end()


class Nursery:
    """Begins model processes; `begun` may be called from one event loop only."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._patience = FIRST_SECONDS
        self._turn = asyncio.Lock()

    def start(self, module: str) -> None:
        """Begin its process, which imports while this one goes on."""
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setblocking(False)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", module, str(theirs.fileno()), NAME_ROOM],
                    pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    env=environment_of_models() | ONE_THREAD,
                )  # fmt: skip
            except OSError as error:
                self._give_up(f"could not be begun: {error.strerror or error}")

    def end(self) -> None:
        """Nothing is left of its process; what it has forked lives on."""
        line, process, self._line, self._process = self._line, self._process, None, None
        if line is not None:
            line.close()
        if process is not None:
            process.kill()
            process.wait()

    async def begun(self, theirs: socket.socket, name: str) -> BegunProcess:
        """A process of the model of that name, forked by the nursery, or, if that cannot be, begun directly.

        Raises:
            OSError: neither can be.
        """
        if self._line is None:
            return await begun_directly(theirs, name)
        asking = asyncio.create_task(self._forked(theirs.dup(), name), name=f"nursery {name}")
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(_end_unwanted)
            raise
        except NurseryFault as fault:
            self._give_up(str(fault))
            return await begun_directly(theirs, name)

    async def _forked(self, theirs: socket.socket, name: str) -> "ForkedProcess":
        with theirs:
            async with self._turn:
                reply = await self._reply(theirs, name)
        self._patience = SECONDS
        kind, _, told = reply.partition(" ")
        if kind != "forked":
            raise NurseryFault(told or "its process ended")
        return ForkedProcess(int(told))

    async def _reply(self, theirs: socket.socket, name: str) -> str:
        line = self._line
        if line is None:
            raise NurseryFault("its process ended")
        try:
            socket.send_fds(line, [name.encode()], [theirs.fileno()])
            async with asyncio.timeout(self._patience):
                return (await asyncio.get_running_loop().sock_recv(line, MOST_BYTES)).decode()
        except TimeoutError:
            raise NurseryFault(f"it did not answer within {self._patience:g} s") from None
        except ConnectionError:
            raise NurseryFault("its process ended") from None

    def _give_up(self, why: str) -> None:
        if self._line is not None:
            self._tell(f"nursery  {why}; from now on each model process imports torch itself")
        self.end()


class ForkedProcess:
    """A process that the nursery has forked and this process has adopted."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()
        try:
            self._handle = os.pidfd_open(pid)
        except OSError:  # no handle is left; nobody else has waited for it, so that the number is its own still
            os.kill(pid, signal.SIGKILL)
            raise
        loop.add_reader(self._handle, self._has_ended)

    def kill(self) -> None:
        """See `BegunProcess`."""
        if self._ended.done():
            raise ProcessLookupError
        signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def wait(self) -> int:
        """See `BegunProcess`."""
        return await asyncio.shield(self._ended)

    def _has_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        code = 255
        with contextlib.suppress(ChildProcessError):  # somebody waited for all children: how it ended is not known
            found = os.waitid(os.P_PIDFD, self._handle, os.WEXITED)
            if found is not None:
                code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        os.close(self._handle)
        if not self._ended.done():
            self._ended.set_result(code)


def _end_unwanted(asking: "asyncio.Task[ForkedProcess]") -> None:
    """Of a process that nobody waits for any more nothing is left, either."""
    if not asking.cancelled() and asking.exception() is None:
        with contextlib.suppress(ProcessLookupError):
            asking.result().kill()


def _is_possible() -> bool:
    """On Linux, where processes are adopted by whom they are meant for, and have handles."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):
        return False
    return True


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Orphans of this process's children are its own children meanwhile."""
    own, before = ctypes.CDLL(None), ctypes.c_int(0)
    own.prctl(_IS_ADOPTING, ctypes.byref(before), 0, 0, 0)
    own.prctl(_ADOPTS, 1, 0, 0, 0)
    try:
        yield
    finally:
        own.prctl(_ADOPTS, before.value, 0, 0, 0)
