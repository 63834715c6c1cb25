"""Weights that come with the package: fits without a network, and what they gain."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from tests.processes import running
from tests.processes import vitrail as vitrail_command
from vitrail.workflows.fit.settings import DEFAULT_MODEL

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
IMAGES = {"ants": 14, "bees": 12}


@pytest.fixture
def unplugged(tmp_path):
    """The environment of a machine that has never been on the network and is not now."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    kept = {name: value for name, value in os.environ.items() if name.lower() not in PROXIES}
    own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hub"), "VITRAIL_CACHE": str(tmp_path / "cache")}
    return {**kept, **own, "HF_HUB_OFFLINE": "0"}


def test_a_fit_without_a_model_and_without_a_network_takes_the_starter_and_says_why(write_images, tmp_path, unplugged):
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "vitrail", "fit", write_images(IMAGES), "--out", out, "--workers", "0", "--set",
         "epochs_factor=0.2", "--image-size", "32"],
        capture_output=True, text=True, timeout=600, env=unplugged,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    why = (
        "No model was named: the starter weights that come with Vitrail were taken, because "
        f"{DEFAULT_MODEL}, the usual one, is not on this machine and 127.0.0.1 does not answer."
    )
    assert f"chosen   {why}" in done.stderr
    report = json.loads((out / "report.json").read_text())["sections"]
    assert why in [sentence["text"] for sentence in report["model"]["sentences"]]
    facts = report["model"]["figures"]["model"]
    assert facts["weights"].startswith("starter/model.safetensors: ")
    assert facts["weights_licence"] == "apache-2.0"
    assert [stage["name"] for stage in report["training"]["figures"]["stages"]] == ["all"]
    (line,) = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines() if "default model" in line]
    assert (line["name"], line["why"]) == ("starter", why)
    assert json.loads((out / "settings.json").read_text())["model"]["name"] == "starter"


def test_features_and_nodes_take_the_starter_by_its_name(write_images, tmp_path, vitrail):
    ended = vitrail("features", "starter", write_images(IMAGES), "--out", tmp_path / "store", "--workers", "0")
    assert ended.code == 0, ended.err
    ended = vitrail("nodes", "starter", "blocks.0", "--json")
    assert ended.code == 0, ended.err


def test_a_study_that_was_killed_goes_on_where_it_was(write_images, tmp_path, vitrail):
    typed = [
        "study", "starter", write_images(IMAGES), "--out", tmp_path / "study", "--seeds", "2", "--image-size", "32",
        "--epochs", "1", "--workers", "0", "--json",
    ]  # fmt: skip
    with running(vitrail_command, *typed, printed=tmp_path / "printed") as process:
        deadline = time.monotonic() + 300
        while len(before := sorted((tmp_path / "study").rglob("*.json"))) < 7:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    assert len(before) < 6 + 6
    written = {file: file.stat().st_mtime_ns for file in before}
    done = vitrail(*typed)
    assert done.code == 0, done.err
    assert {file: file.stat().st_mtime_ns for file in before} == written
    found = json.loads(done.out)["data"]["images"]
    assert {arm: len(runs) for arm, runs in found["arms"].items()} == {"starter": 2, "mimetic": 2, "scratch": 2}
    assert set(found["rates"].values()) <= {5e-4, 1e-3}
    for arm in ("mimetic", "scratch"):
        for figure in ("accuracy", "auc"):
            gain, mean = found["gains"][arm][figure], found[f"mean_{figure}"]
            assert gain["decision"] in ("better", "worse", "not enough evidence")
            assert gain["difference"]["value"] == pytest.approx(mean["starter"] - mean[arm])
    page = (tmp_path / "study" / "report.html").read_text()
    assert "What the starter weights are worth" in page and "images" in page
