"""A run killed at any moment and started again ends with the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest


def start(folder, out):
    command = [
        sys.executable, "-m", "vitrail.cli.main", "fit", folder, "--model", "test_vit", "--set", "pretrained=false",
        "--set", "image_size=64", "--set", "precision=float32", "--out", out, "--set", "batch_size=4", "--quiet",
    ]  # fmt: skip
    seeded = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=seeded)


def weights(run):
    return json.loads((run / "package" / "vitrail.json").read_text())["metrics"]


@pytest.mark.slow
def test_a_run_killed_three_times_ends_as_an_undisturbed_one(write_images, tmp_path):
    folder = write_images({"cat": 150, "dog": 150})
    undisturbed = start(folder, tmp_path / "calm")
    assert undisturbed.wait(300) == 0, undisturbed.stderr.read()
    chance = random.Random(0)
    for _ in range(3):
        victim = start(folder, tmp_path / "killed")
        time.sleep(chance.uniform(1, 6))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    last = start(folder, tmp_path / "killed")
    finished = last.wait(300) == 0 or "a finished run stands there" in last.stderr.read()
    assert finished
    assert weights(tmp_path / "killed") == weights(tmp_path / "calm")
    one, other = ((tmp_path / name / "package" / "model.safetensors").read_bytes() for name in ("calm", "killed"))
    assert one == other


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_says_that_it_can_be_continued(write_images, tmp_path):
    folder = write_images({"cat": 150, "dog": 150})
    running = start(folder, tmp_path / "run")
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "work").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    if running.returncode == 0:
        pytest.skip("the run was faster than the finger on Ctrl-C")
    assert running.returncode == 130, err
    assert "the same command continues where it was" in err
    assert "Traceback" not in err
