"""`vitrail serve` as somebody types it: what it refuses before anything is loaded, and one server from a file."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import children_of, file_of


def said_by(vitrail, *typed):
    done = vitrail("serve", *typed)
    return done.code, done.err


def test_what_cannot_be_served_is_said_with_a_way_out(vitrail, small_packages, tmp_path):
    ants = str(small_packages["ants"])
    keys = tmp_path / "keys"
    keys.write_text("short\n")
    keys.chmod(0o600)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = {
            (): "no package to serve was given\nhint: e.g. vitrail serve runs/ants/package",
            ("runs/none",): "runs/none: no such package folder\nhint: vitrail fit writes one into runs/NAME/package",
            (f"{ants}=0",): "all weights are 0: nobody would answer\nhint: give at least one package a weight above 0",
            (ants, "--port", port): f"127.0.0.1:{port} cannot be listened on: Address already in use\n"
            "hint: another --port, or 0 for a free one",
            (ants, "--host", "0.0.0.0"): "0.0.0.0 can be reached from other machines, and there is no key for "
            "predicting and for administration\nhint: --predict-key-file and --admin-key-file, or --allow-without-key "
            "where everybody may",
            (ants, "--admin-key-file", str(keys)): f"a key in {keys} has 5 characters, 16 at least were expected\n"
            "hint: python -c 'import secrets; print(secrets.token_urlsafe())' makes one",
            (ants, "--set", "model_secondss=3"): "unknown setting 'model_secondss' - did you mean model_seconds",
        }  # fmt: skip
        for typed, text in refused.items():
            code, stderr = said_by(vitrail, *typed)
            assert code == 2 and text in stderr, f"{typed}: {stderr}"


def imports_torch(pid):
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.slow
def test_a_file_is_served_until_ctrl_c_and_figures_are_there_when_it_begins_again(small_packages, tmp_path):
    (tmp_path / "serve.yaml").write_text(
        "models:\n"
        + f"  - package: {small_packages['ants']}\n    name: ants\n"
        + "runtime: torch\ndevice: cpu\nport: 0\nstate: kept/serve.sqlite\nanonymous: first\n"
    )
    for before in (0, 1):
        process = subprocess.Popen(
            [sys.executable, "-m", "vitrail", "serve", "--config", "serve.yaml"], cwd=tmp_path, text=True,
            stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
        )  # fmt: skip
        try:
            lines = []
            while not (lines and lines[-1].startswith("ready")):
                lines.append(process.stderr.readline())
                assert lines[-1], "".join(lines)
            url = lines[-1].split()[1]
            assert [line.split()[0] for line in lines[:2]] == ["serve", "state"]
            sent = ["curl", "-sS", "-F", "image=@-", f"{url}/v1/predict"]
            answer = json.loads(subprocess.run(sent, input=file_of(), capture_output=True, check=True).stdout)
            assert (answer["status"], answer["model_id"]) == ("success", "ants")
            told = subprocess.run(["curl", "-sS", f"{url}/v1/metrics/ants?window=1h"], capture_output=True, check=True)
            assert json.loads(told.stdout)["total_requests"] == before + 1
            front, *others = process.pid, *children_of(process.pid)
            assert list(map(imports_torch, (front, *others))) == [False, True, True]  # the nursery, and the model
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: models get it, too
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
