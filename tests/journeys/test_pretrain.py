"""Pretraining on formula images: killed at any moment it ends with the same bytes, and a fit starts from the result."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vitrail as package
from tests.documents.scripts import script
from tests.processes import running
from tests.processes import vitrail as vitrail_command
from vitrail.basics.checks import read_lines
from vitrail.basics.files import sha256_of

pytestmark = pytest.mark.slow

FORMULA = [
    "pretrain", "formula", "--steps", "12", "--set", "steps_per_epoch=6", "--set", "classes=20", "--set",
    "renderings=3", "--set", "image_size=32", "--set", "sizes=16,24", "--set", "width=24", "--set", "depth=2", "--set",
    "heads=2", "--set", "images_per_step=16", "--set", "training_precision=float32", "--set", "mixup=0.3", "--set",
    "drop_path=0.2", "--set", "drop_patches=0.25", "--set", "weights_dtype=float16", "--quiet",
]  # fmt: skip
OFTEN, SELDOM = ["--set", "checkpoint_seconds=0"], ["--set", "checkpoint_seconds=3600"]


def doomed(kind: str, step: int, strikes: str, *typed: Any) -> None:
    """The command, struck by a signal in its step `step`, or in the middle of writing the checkpoint behind it."""
    _prepare(kind, step, signal.Signals[strikes])
    vitrail_command(*typed)


def _prepare(kind: str, step: int, number: signal.Signals) -> None:
    from vitrail.training import checkpoint
    from vitrail.training.out_of_memory import Portions

    portion, whole, now = Portions.at, checkpoint.atomic_file, [-1]

    def place_noted(portions: Any, stage: int, place: int) -> int:
        now[0] = place
        if kind == "step" and place == step:
            os.kill(os.getpid(), number)
        return portion(portions, stage, place)

    @contextlib.contextmanager
    def file(path: Path) -> Iterator[Any]:
        with whole(path) as opened:
            if kind == "checkpoint" and now[0] == step and path.name.startswith("stage"):
                opened.write(b"the first half")
                opened.flush()
                os.kill(os.getpid(), number)
            yield opened

    Portions.at, checkpoint.atomic_file = place_noted, file  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return tmp_path_factory.mktemp("rendered")


def ended(out, rendered, *typed, kind="never", step=-1, strikes="SIGKILL"):
    """Exit code of the command, and what it printed."""
    return _ended(doomed, kind, step, strikes, *FORMULA, "--out", out, "--images", rendered, *typed, printed=out)


def on_one_thread(*typed, printed):
    """Exit code of a command that computes on one thread, and what it printed."""
    return _ended(vitrail_command, *typed, printed=printed)


def _ended(function, *arguments, printed):
    file = Path(f"{printed}.printed")
    with running(function, *arguments, printed=file) as process:
        code = process.wait(300)
    return code, file.read_text()


def outcome(run):
    """Hash of the weights, what every epoch measured, and the loss of every step."""
    lines = read_lines(run / "metrics.jsonl").values
    epochs = [line for line in lines if line["kind"] == "epoch"]
    losses = [loss for line in lines if line["kind"] == "steps" for loss in line["losses"]]
    return sha256_of(run / "package" / "model.safetensors"), epochs, losses


@pytest.fixture(scope="module")
def undisturbed(rendered, tmp_path_factory):
    run = tmp_path_factory.mktemp("calm") / "run"
    code, printed = ended(run, rendered, *SELDOM, "--json")
    assert code == 0, printed
    return run, json.loads(printed[printed.index("{") :])


def test_a_run_tells_what_it_made_and_leaves_weights_metrics_and_a_report(undisturbed):
    run, told = undisturbed
    weights, epochs, losses = outcome(run)
    assert sorted(path.name for path in run.iterdir() if not path.name.startswith(".")) == [
        "journal.jsonl", "metrics.jsonl", "package", "report.html", "report.json", "settings.json",
    ]  # fmt: skip
    assert told["weights_sha256"] == weights and told["images_seen"] == 12 * 16
    assert len(losses) == 12 and all(loss > 0 for loss in losses)
    assert [epoch["step"] for epoch in epochs] == [6, 12] and told["last_epoch"] == epochs[-1]
    assert 0.2 < epochs[-1]["digits_probe_accuracy"] < 1
    report = json.loads((run / "report.json").read_text())
    assert report["sections"]["training"]["figures"]["epochs"] == epochs
    assert report["sections"]["settings"]["figures"]["images"]["classes"] == 20
    card = (run / "package" / "README.md").read_text()
    assert "- images seen: 192" in card and "n = 800)" in card and "- kept in: float16" in card
    assert str(run) not in card + (run / "package" / "pretraining.json").read_text()


def test_a_run_killed_in_steps_and_in_a_checkpoint_ends_with_the_same_bytes(undisturbed, rendered, tmp_path):
    run = tmp_path / "run"
    for kind, step in (("checkpoint", 3), ("step", 8)):
        code, printed = ended(run, rendered, *OFTEN, kind=kind, step=step)
        assert code == -signal.SIGKILL, printed
    code, printed = ended(run, rendered, *OFTEN)
    assert code == 0, printed
    assert outcome(run) == outcome(undisturbed[0])
    journal = [json.loads(line)["decision"] for line in (run / "journal.jsonl").read_text().splitlines()]
    assert journal == ["started", "plan", "resumed", "resumed", "finished"]


def test_ctrl_c_is_answered_between_two_steps_and_the_same_command_continues(undisturbed, rendered, tmp_path):
    run = tmp_path / "run"
    code, printed = ended(run, rendered, *SELDOM, kind="step", step=7, strikes="SIGINT")
    assert code == 130, printed
    assert "stopped; the same command continues where it was:\n  vitrail pretrain formula --steps 12" in printed
    assert "Traceback" not in printed
    assert (run / "work" / "training" / "stage0-step000000008.safetensors").exists()
    assert ended(run, rendered, *SELDOM)[0] == 0
    assert outcome(run) == outcome(undisturbed[0])


def test_the_recipe_that_the_weights_keep_makes_the_same_weights_again(undisturbed, rendered, tmp_path):
    recipe = undisturbed[0] / "package" / "pretraining.json"
    run = tmp_path / "run"
    arguments = ["pretrain", "formula", "--recipe", recipe, "--out", run, "--images", rendered, "--quiet"]
    code, printed = on_one_thread(*arguments, printed=run)
    assert code == 0, printed
    assert outcome(run) == outcome(undisturbed[0])


def replay_starter(*typed: Any) -> None:
    """The script of the documents, in a process that does nothing else."""
    sys.exit(script("replay_starter").main([*map(str, typed)]))


def test_the_first_steps_are_replayed_and_compared_with_the_log(undisturbed, rendered, tmp_path):
    run = undisturbed[0]
    how = ["--steps", "9", "--images", rendered, "--workers", "0"]
    code, printed = _ended(
        replay_starter, run / "settings.json", run / "metrics.jsonl", *how, printed=tmp_path / "same"
    )
    assert (code, printed) == (0, "the losses of all 9 steps are the same, bit for bit\n")
    other = tmp_path / "log"
    lines = read_lines(run / "metrics.jsonl").values
    lines[0]["losses"][0] *= 1.5
    other.write_text("\n".join(map(json.dumps, lines)))
    code, printed = _ended(replay_starter, run / "settings.json", other, *how, printed=tmp_path / "other")
    assert code == 1
    assert printed == (
        "the losses of 9 steps differ by up to 33.33% (allowed: 2%; the first 0 are the same bit for bit)\n"
    )
    code, printed = _ended(replay_starter, run / "nowhere", other, *how, printed=tmp_path / "none")
    assert code == 2 and printed.startswith(f"error: {run}/nowhere: there is no such file\nhint: ")


def test_a_fit_starts_from_the_weights(undisturbed, tmp_path, vitrail):
    weights = undisturbed[0] / "package"
    ended = vitrail(
        "fit", "digits", "--model", f"local-dir:{weights}", "--out", tmp_path / "fit", "--stages", "all", "--set",
        "all_epochs=1", "--workers", "0", "--json", "--quiet",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["quality"]["val"]["accuracy"]["value"] > 0.3
    facts = json.loads((tmp_path / "fit" / "report.json").read_text())["sections"]["model"]["figures"]["model"]
    assert facts["image_size"] == "24 × 24"
    assert facts["weights"] == "package/model.safetensors: 30 tensors used"


def test_in_python_the_same_settings_give_the_same_weights(undisturbed, rendered, tmp_path):
    settings = {
        "steps": 2, "steps_per_epoch": 2, "classes": 20, "renderings": 3, "image_size": 32, "sizes": (16,), "width": 24,
        "depth": 1, "heads": 2, "images_per_step": 8, "training_precision": "float32",
    }  # fmt: skip
    one, other = (
        package.pretrain_formula(out=tmp_path / name, images=rendered, workers=0, seed=seed, **settings)
        for name, seed in (("one", 0), ("other", 1))
    )
    again = package.pretrain_formula(out=tmp_path / "again", images=rendered, workers=0, **settings)
    assert again.weights_sha256 == one.weights_sha256 != other.weights_sha256
    assert one.report.exists() and one.last["epoch"] == 1
    command = json.loads((tmp_path / "one" / "report.json").read_text())["command"]
    begins = f'vitrail.pretrain_formula(out="{tmp_path}/one", images="{rendered}", workers=0, seed=0, steps=2, '
    assert command.startswith(begins)
    assert f"package  {one.package}\nsha256   {one.weights_sha256}\nreport   {one.report}\n" in repr(one)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--set", "classes=0"], "classes: Input should be greater than or equal to 2, got 0"),
        (["--set", "sizes=20"], "images of 20 pixels cannot be cut into patches of 8"),
        (["--set", "lerning_rate=1"], "unknown setting 'lerning_rate' - did you mean learning_rate?"),
    ],
)
def test_settings_that_cannot_be_are_refused_and_leave_nothing(typed, message, tmp_path, vitrail):
    ended = vitrail("pretrain", "formula", "--out", tmp_path / "run", "--images", tmp_path / "images", *typed)
    assert ended.code == 2
    assert message in ended.err
    assert list(tmp_path.iterdir()) == []
