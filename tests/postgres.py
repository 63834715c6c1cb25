"""A real PostgreSQL for tests: started once per session in a folder of its own, reachable from this machine alone."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

QUICK = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=50 -c shared_buffers=16MB"
PASSWORD = "a word @ nobody:knows/"


def programs() -> Path | None:
    """Folder of the newest installed PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda each: float(each.parts[-3]))
    elsewhere = shutil.which("initdb")
    return found[-1].parent if found else Path(elsewhere).parent if elsewhere else None


class Postgres:
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.folder, self._bin = folder, bin_folder
        # PostgreSQL refuses to run as root.
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if self._as:
            shutil.chown(folder, "postgres")
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if self._as:
            shutil.chown(secret, "postgres")
        user = ["-U", "vitrail", "--pwfile", str(secret), "--auth-host=scram-sha-256", "--auth-local=trust"]
        self._run("initdb", "-D", str(folder / "data"), *user, "-E", "UTF8", "--no-sync", "--no-instructions")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as, str(self._bin / program), *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        log = str(self.folder / "log")
        options = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} {QUICK}"
        # What the server inherits would keep a pipe open for ever: pg_ctl's output goes to the log.
        command = [
            *self._as,
            str(self._bin / "pg_ctl"),
            "-D",
            str(self.folder / "data"),
            "-l",
            log,
            "-w",
            "-o",
            options,
        ]
        done = subprocess.run(
            [*command, "start"], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
        )
        assert done.returncode == 0, Path(log).read_text()

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "fast", "-w", "stop")

    def send_signal(self, number: int) -> None:
        """To all of its processes: SIGSTOP makes it silent, SIGCONT goes on."""
        main = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for process in [main, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        self._run("createdb", "-h", str(self.folder), "-p", str(self.port), "-U", "vitrail", name)
        return f"postgresql://vitrail:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{name}"


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server that does not outlive the block; a skip where PostgreSQL is not installed."""
    bin_folder = programs()
    if bin_folder is None:
        if os.environ.get("VITRAIL_REQUIRE_POSTGRES") == "1":
            pytest.fail("PostgreSQL is not installed, and VITRAIL_REQUIRE_POSTGRES is 1")
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # The path of a Unix socket may have 107 characters, and user postgres must reach it: not pytest's folder.
    with tempfile.TemporaryDirectory(prefix="vitrail-pg-") as folder:
        server = Postgres(Path(folder), bin_folder)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(AssertionError):  # a test may have stopped it
                server.stop()
