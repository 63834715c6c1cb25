"""The OpenAPI document is true: schemathesis asks a real server by it, well and badly, and finds nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import Server

CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 422]  # 422: bytes that were drawn are no image

[[operations]]
include-path = "/v1/routes"
[operations.checks.positive_data_acceptance]
enabled = false  # that no two arms have one name cannot be said in a schema
"""


def found_by_schemathesis(server: Server, folder: Path, *options: str) -> str:
    """What it printed, if it found anything."""
    pytest.importorskip("schemathesis")
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "--config-file", "schemathesis.toml", "run",
            f"{server.url}/openapi.json", "--request-timeout", "20", "--seed", "1", "--no-color",
            "--generation-database", "none", *options,
        ],
        cwd=folder, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONWARNINGS": ""},
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_schemathesis_finds_nothing(server: Server, tmp_path: Path) -> None:
    found = found_by_schemathesis(server, tmp_path, "--phases", "coverage,fuzzing", "--max-examples", "5")
    assert not found, found
