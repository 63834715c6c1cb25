"""A server that begins at once: it and its nursery are forked from a process that has imported torch already.

All else is as `vitrail serve` does it. That a front imports no torch, and that a nursery is begun as an interpreter of
its own, is tested where the command itself is: `tests/journeys/test_serve_command.py`.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any


def serve(packages: Sequence[str], settings: Mapping[str, Any], files: int | None) -> None:
    """`vitrail serve`, without the command line around it.

    Args:
        packages: as they are typed.
        settings: by their names.
        files: that it may have open at once.
    """
    import vitrail
    from vitrail.serving import nursery

    if files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    nursery.subprocess = SimpleNamespace(Popen=_Forked, DEVNULL=subprocess.DEVNULL)  # type: ignore[assignment]
    vitrail.serve(packages, tell=lambda text: print(text, flush=True), **settings)


class _Forked:
    """A nursery's process, as `subprocess.Popen` would have begun it."""

    def __init__(
        self, command: Sequence[str], *, pass_fds: Sequence[int], env: Mapping[str, str], **_streams: Any
    ) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            _become(command, pass_fds, env)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _become(command: Sequence[str], kept: Sequence[int], environment: Mapping[str, str]) -> None:
    from vitrail.serving import nursery_process

    try:
        for stream in (0, 1):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        for number in map(int, os.listdir("/proc/self/fd")):
            if number > 2 and number not in kept:
                with contextlib.suppress(OSError):  # that which listed them
                    os.close(number)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = list(command[2:])
        nursery_process.main()
    except BaseException:  # noqa: BLE001 - it must not go on as the front
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)
