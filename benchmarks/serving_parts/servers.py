"""Servers in processes of their own on one core, asked by a load on another."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import tell
from benchmarks.processes import ROOT, printed_by
from benchmarks.serving_parts.load import LoadOrder

PEERS = Path(__file__).parents[1] / "peers"
READY_SECONDS = 180.0


@dataclass(frozen=True)
class Way:
    """A server that is compared.

    Attributes:
        command: that starts it, with `PORT` where its port stands.
        request: file of a whole HTTP request.
    """

    command: tuple[str, ...]
    request: str


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    way: Way
    port: int

    def load(self, **order: Any) -> dict[str, Any]:
        """Figures of a load (`LoadOrder` without port and request)."""
        given = LoadOrder(port=self.port, request=self.way.request, **order)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(asdict(given)))
            file.flush()
            command = [sys.executable, "-m", "benchmarks.serving_parts.load", file.name]
            figures: dict[str, Any] = json.loads(printed_by([*on_core(-1), *command], folder=ROOT))
        return figures


def ours(package: Path, request: str, *settings: str) -> Way:
    """`vitrail serve PACKAGE`, as README has it, with what is kept in a file of its own."""
    state = package.parent / f"{len(list(package.parent.glob('*.sqlite*')))}.sqlite"
    state.touch()
    words = ["serve", str(package), "--port", "PORT", "--state", str(state), *settings]
    return Way((sys.executable, "-m", "vitrail", *words), request)


def peer(script: str, request: str, *words: str) -> Way | None:
    """A server of `benchmarks/peers`; None where what it needs is not installed."""
    python = os.environ.get("VITRAIL_PEERS_PYTHON", sys.executable)
    needed = "litserve" if "litserve" in script else "fastapi"
    if subprocess.run([python, "-c", f"import {needed}"], capture_output=True).returncode:
        return None
    return Way((python, str(PEERS / script), "PORT", *words), request)


@contextlib.contextmanager
def running(ways: dict[str, Way | None]) -> Iterator[dict[str, Running]]:
    """All servers that there are; the same core is theirs, and they take turns in being asked."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(_running(name, way)) for name, way in ways.items() if way is not None}


@contextlib.contextmanager
def _running(name: str, way: Way) -> Iterator[Running]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*on_core(0), *(str(port) if word == "PORT" else word for word in way.command)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, start_new_session=True, stdin=subprocess.DEVNULL, stdout=said,
            stderr=said,
        )  # fmt: skip
        try:
            began = time.monotonic()
            while not _answers(port, way.request):
                if process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                    said.seek(0)
                    raise SystemExit(f"{name} did not begin:\n{said.read().decode()[-3000:]}")
                time.sleep(0.2)
            tell(f"{name} answers after {time.monotonic() - began:.1f} s")
            yield Running(way, port)
        finally:
            _end(process)


def _answers(port: int, request: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(Path(request).read_bytes())
        return connection.recv(12).endswith(b" 200")
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(10)


def on_core(number: int) -> Sequence[str]:
    """A command before a command, which keeps it to the first or last core; nothing where there is only one."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if len(cores) < 2:
        return ()
    program = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execvp(sys.argv[2], sys.argv[2:])"
    return (sys.executable, "-c", program, str(cores[number]))
