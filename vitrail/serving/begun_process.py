"""How a model's process is begun: as a new interpreter, which reads torch from the disk, or by the server's nursery."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

SECRETS = ("VITRAIL_PREDICT_KEY", "VITRAIL_ADMIN_KEY", "PGPASSWORD", "VITRAIL_STATE", "VITRAIL_VERSIONS")
"""Keys, and addresses of databases, which may have a password: whoever decodes strangers' files need not know them."""


class BegunProcess(Protocol):
    """A process under way, a child of this one."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def kill(self) -> None:
        """End it.

        Raises:
            ProcessLookupError: it has ended already.
        """
        ...

    async def wait(self) -> int:
        """Its exit code, negative where a signal ended it, as soon as it has ended; then nothing is left of it."""
        ...


Begin = Callable[[socket.socket, str], Awaitable[BegunProcess]]
"""Begins a process for the model of a name, and gives it a socket, which whoever calls closes here."""


async def begun_directly(theirs: socket.socket, name: str) -> BegunProcess:
    """A new interpreter.

    Raises:
        OSError: it cannot be begun.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vitrail.serving.model_process", str(theirs.fileno()), name,
        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment_of_models(),
    )  # fmt: skip


def environment_of_models() -> dict[str, str]:
    """This process's own, without keys and passwords."""
    return {name: value for name, value in os.environ.items() if name not in SECRETS}


@dataclass(frozen=True)
class Beginning:
    """How the processes of a model are begun.

    Attributes:
        others_serve: whether other models answer meanwhile, which loading must not slow.
        begun: begins one.
    """

    others_serve: Callable[[], bool] = lambda: False
    begun: Begin = begun_directly


DIRECTLY = Beginning()
"""As new interpreters, whatever else answers."""
