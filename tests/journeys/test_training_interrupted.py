"""Training that is killed, stopped or short of memory at any moment ends with the bytes of an undisturbed one."""

import functools
import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import picture
from tests.processes import running
from tests.processes import vitrail as vitrail_command
from vitrail.basics.files import sha256_of

pytestmark = pytest.mark.slow

# A probe this weak is beaten by training: otherwise the package would hold the probe, which no step has touched.
FIT = [
    "--model", "test_vit", "--set", "pretrained=false", "--image-size", "32", "--set", "precision=float32",
    "--set", "training_precision=float32", "--set", "strengths=[1e-6]", "--set", "stages=head,top,all",
    "--set", "images_per_step=8", "--set", "head_learning_rate=0.01", "--set", "learning_rate=0.001", "--quiet",
]  # fmt: skip
EPOCHS = ["--set", "head_epochs=3", "--set", "top_epochs=2", "--set", "all_epochs=2"]
OFTEN = [*EPOCHS, "--set", "checkpoint_seconds=0", "--workers", "0"]
SELDOM = [*EPOCHS, "--set", "checkpoint_seconds=3600", "--workers", "0"]


def doomed(moment: str, strikes: str, memory: int, *typed: Any) -> None:
    """The command in a process whose fate is known.

    The process group gets the signal in the middle of `cache`, `step:STAGE:STEP` or `checkpoint:STAGE:STEP` (the
    checkpoint behind that step is half written then). From the third step of the whole network's stage on, no more
    than `memory` images fit at once; 0: all do.
    """
    kind, *numbers = moment.split(":")
    _prepare(_Fate(kind, tuple(map(int, numbers)), functools.partial(os.killpg, 0, signal.Signals[strikes]), memory))
    vitrail_command(*typed)


@dataclass
class _Fate:
    kind: str
    place: tuple[int, ...]
    strike: Any
    memory: int
    now: tuple[int, ...] = (-1, -1)

    def meets(self, kind: str) -> bool:
        return self.kind == kind and self.now == self.place


def _prepare(fate: _Fate) -> None:
    import torch

    from vitrail.features.memory_map import FeatureMap
    from vitrail.training.objectives.classification import Classification
    from vitrail.training.settings import STAGE_NAMES

    own_loss, stored = Classification.loss, FeatureMap.write

    def loss(objective: Any, chain: Any, batches: Any, *, at: Any, precision: Any) -> Any:
        fate.now = (STAGE_NAMES.index(at.stage.name), at.step)
        if fate.memory and fate.now >= (2, 2) and len(batches["labelled"]) > fate.memory:
            raise torch.OutOfMemoryError("not enough memory, said the test")
        if fate.meets("step"):
            fate.strike()
        return own_loss(objective, chain, batches, at=at, precision=precision)

    def store(sink: Any, batch: int, features: Any) -> None:
        stored(sink, batch, features)
        if fate.kind == "cache" and batch == 2 and "cache-" in str(sink._features.filename):
            sink.flush()
            fate.strike()

    def renamed(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and fate.meets("checkpoint") and Path(arguments[1]).name.startswith("stage"):
            os.truncate(arguments[0], os.path.getsize(arguments[0]) // 2)
            fate.strike()

    Classification.loss, FeatureMap.write = loss, store  # type: ignore
    sys.addaudithook(renamed)


def fit_under_way(data, out, *typed, moment="never", strikes="SIGKILL", memory=0):
    """The command in a process group of its own, which does not outlive the block; what it prints goes to a file."""
    command = ["fit", data, "--out", out, *FIT, *typed]
    return running(doomed, moment, strikes, memory, *command, printed=Path(f"{out}.printed"))


def ended(data, out, *typed, **fate):
    """The exit code of the command; that of a killed one is negative."""
    with fit_under_way(data, out, *typed, **fate) as process:
        return process.wait(120)


def printed(out):
    return Path(f"{out}.printed").read_text()


def finished(data, out, *typed, **fate):
    """What a run that is let go to its end leaves: hash of the weights, and what every epoch measured."""
    assert ended(data, out, *typed, **fate) == 0, printed(out)
    return outcome(out)


def outcome(run):
    training = json.loads((run / "report.json").read_text())["sections"]["training"]["figures"]
    assert training["chosen_epoch"] is not None
    return sha256_of(run / "package" / "model.safetensors"), training["epochs"]


def journaled(run, decision):
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return [line for line in lines if line["decision"] == decision]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for hue, label in enumerate(("cat", "dog")):
        (root / label).mkdir()
        for index in range(40):
            picture(1000 * hue + index, hue=hue).save(root / label / f"{index:03d}.png")
    return root


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return finished(data, tmp_path_factory.mktemp("calm") / "run", *OFTEN)


def test_a_run_killed_in_its_cache_in_its_steps_and_in_its_checkpoint_ends_with_the_same_bytes(
    data, undisturbed, tmp_path
):
    run = tmp_path / "run"
    for moment in ("cache", "checkpoint:0:7", "step:1:5"):
        assert ended(data, run, *OFTEN, moment=moment) == -signal.SIGKILL, printed(run)
    assert finished(data, run, *OFTEN) == undisturbed
    assert len(journaled(run, "resumed")) == 3


def test_a_run_that_is_short_of_memory_is_killed_and_still_ends_with_the_same_bytes(data, undisturbed, tmp_path):
    short = {"memory": 4}
    weights = finished(data, tmp_path / "calm", *SELDOM, **short)
    run = tmp_path / "run"
    assert ended(data, run, *SELDOM, moment="step:2:3", **short) == -signal.SIGKILL, printed(run)
    assert finished(data, run, *SELDOM, **short) == weights
    assert [line["images"] for line in journaled(run, "images_at_once")] == [4]
    assert weights != undisturbed  # otherwise parts would round as a whole step does, and nothing were shown


def test_ctrl_c_is_answered_between_two_steps_and_the_same_command_continues(data, undisturbed, tmp_path):
    run, typed = tmp_path / "run", [*SELDOM[:-1], "2"]
    assert ended(data, run, *typed, moment="step:2:4", strikes="SIGINT") == 130, printed(run)
    assert "stopped; the same command continues where it was" in printed(run)
    assert "Traceback" not in printed(run)
    assert (run / "work" / "training" / "stage2-step000000005.safetensors").exists()
    assert finished(data, run, *typed) == undisturbed


def test_a_second_process_on_the_same_run_folder_is_refused_and_does_not_disturb_the_first(
    data, undisturbed, tmp_path, vitrail
):
    run = tmp_path / "run"
    with fit_under_way(data, run, *OFTEN, moment="step:1:2", strikes="SIGSTOP") as first:
        first.wait_until_stopped()
        second = vitrail("fit", data, "--out", run, *FIT, *OFTEN)
        os.killpg(first.pid, signal.SIGCONT)
        assert first.wait(120) == 0, printed(run)
    assert second.code == 2
    assert f"{run}: another process is working on this run" in second.err
    assert outcome(run) == undisturbed


def test_a_run_is_not_continued_with_other_settings_or_other_data(write_images, tmp_path, vitrail):
    folder, run = write_images({"cat": 40, "dog": 40}), tmp_path / "run"
    assert ended(folder, run, *OFTEN, moment="step:0:2") == -signal.SIGKILL, printed(run)
    settings = vitrail("fit", folder, "--out", run, *FIT, *OFTEN, "--set", "weight_decay=0.5")
    assert settings.code == 2
    assert "an interrupted run with other settings stands there:" in settings.err
    assert "- training.weight_decay: was 0.01, now 0.5" in settings.err
    picture(77, hue=1).save(folder / "dog" / "late.png")
    images = vitrail("fit", folder, "--out", run, *FIT, *OFTEN)
    assert images.code == 2
    assert "an interrupted run with other data or weights stands there:" in images.err
    assert "- images: was 80, now 81" in images.err


def test_epochs_that_were_fitted_to_a_time_are_decided_once_however_often_the_run_is_killed(data, tmp_path):
    # Three times as many epochs fit, as many as a time may add.
    few = ["--set", "head_epochs=1", "--set", "top_epochs=1", "--set", "all_epochs=1", *OFTEN[len(EPOCHS) :]]
    run, calm, typed = tmp_path / "run", tmp_path / "calm", [*few, "--set", "time=1m"]
    assert ended(data, run, *typed, moment="cache") == -signal.SIGKILL, printed(run)
    shutil.copytree(run, calm)
    weights = finished(data, calm, *typed)
    assert ended(data, run, *typed, moment="checkpoint:1:1") == -signal.SIGKILL, printed(run)
    assert finished(data, run, *typed) == weights
    assert len(journaled(run, "plan")) == 1
