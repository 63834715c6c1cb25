"""A run killed at any moment and started again ends with the same bytes."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

import vitrail as library
from tests.processes import running, vitrail
from vitrail.basics.errors import InputError


def fit_under_way(folder, out):
    """The command in a process of its own, which does not outlive the block; what it prints goes to `printed`."""
    typed = [
        "fit", folder, "--model", "test_vit", "--set", "pretrained=false", "--set", "image_size=64", "--set",
        "precision=float32", "--out", out, "--set", "batch_size=4", "--quiet", "--preset", "quick", "--workers", "1",
    ]  # fmt: skip
    return running(vitrail, *typed, printed=Path(f"{out}.printed"))


def printed(out):
    return Path(f"{out}.printed").read_text()


def weights(run):
    return json.loads((run / "package" / "vitrail.json").read_text())["metrics"]


@pytest.mark.slow
def test_a_run_killed_three_times_ends_as_an_undisturbed_one(write_images, tmp_path):
    folder = write_images({"cat": 60, "dog": 60})
    started = time.monotonic()
    with fit_under_way(folder, tmp_path / "calm") as undisturbed:
        assert undisturbed.wait(300) == 0, printed(tmp_path / "calm")
    whole = time.monotonic() - started
    chance = random.Random(0)
    for moment in (0.5, 0.7, 0.9):
        with fit_under_way(folder, tmp_path / "killed"):
            time.sleep(whole * moment * chance.uniform(0.9, 1.1))
    with fit_under_way(folder, tmp_path / "killed") as last:
        assert last.wait(300) == 0 or "a finished run stands there" in printed(tmp_path / "killed")
    assert weights(tmp_path / "killed") == weights(tmp_path / "calm")
    one, other = ((tmp_path / name / "package" / "model.safetensors").read_bytes() for name in ("calm", "killed"))
    assert one == other


def test_a_run_that_died_after_its_package_was_written_is_finished_by_the_same_call(write_images, tmp_path):
    call = {"model": "test_vit", "pretrained": False, "image_size": 32, "out": tmp_path / "run", "workers": 0}
    folder = write_images({"cat": 20, "dog": 20})
    library.fit(folder, **call)
    journal = tmp_path / "run" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if "finished" not in line))
    (tmp_path / "run" / "report.html").unlink()
    (tmp_path / "run" / "work" / "features-train").mkdir(parents=True)
    library.fit(folder, **call)
    assert (tmp_path / "run" / "report.html").exists()
    assert "finished" in journal.read_text()


def test_images_that_changed_are_refused_and_computed_anew_when_asked(write_images, tmp_path, monkeypatch):
    from vitrail.workflows.fit import finish as recipe

    call = {"model": "test_vit", "pretrained": False, "image_size": 32, "workers": 0, "precision": "float32",
            "preset": "quick"}  # fmt: skip
    folder = write_images({"cat": 20, "dog": 20})
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "learn_heads", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            library.fit(folder, **call, out=tmp_path / "resumed")
    assert (tmp_path / "resumed" / "work" / "features-train" / "done.u8").exists()
    write_images({"cat": 20, "dog": 20}, seed=5)
    with pytest.raises(InputError, match=r"interrupted run with other data or weights stands there:\n  - data: was "):
        library.fit(folder, **call, out=tmp_path / "resumed")
    resumed = library.fit(folder, **call, out=tmp_path / "resumed", overwrite=True)
    fresh = library.fit(folder, **call, out=tmp_path / "fresh")
    one, other = ((result.package / "model.safetensors").read_bytes() for result in (resumed, fresh))
    assert one == other


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_says_that_it_can_be_continued(write_images, tmp_path):
    folder = write_images({"cat": 60, "dog": 60})
    with fit_under_way(folder, tmp_path / "run") as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "run" / "work").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, printed(tmp_path / "run")
    assert "stopped; the same command continues where it was" in printed(tmp_path / "run")
    assert "Traceback" not in printed(tmp_path / "run")
