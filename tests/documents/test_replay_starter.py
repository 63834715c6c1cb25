"""`docs/replay_starter.py`: whether the log of a pretraining tells the truth."""

import json

import pytest

from tests.documents.scripts import script
from vitrail.basics.checks import append_line
from vitrail.basics.errors import InputError
from vitrail.workflows.pretrain.settings import PretrainSettings

replay = script("replay_starter")
logged_losses, replay_of = replay.logged_losses, replay.replay_of


def written(path, content) -> object:
    path.write_text(content)
    return path


def test_steps_are_the_same_up_to_the_first_loss_that_is_not():
    found = replay_of([4.0, 3.0, 2.5, None], [4.0, 3.0, 2.0, None])
    assert (found.steps, found.same, found.largest_difference, found.agrees) == (4, 2, 0.25, False)
    assert found.words() == (
        "the losses of 4 steps differ by up to 25.00% (allowed: 2%; the first 2 are the same bit for bit)"
    )
    same = replay_of([4.0, None], [4.0, None])
    assert same.agrees and same.words() == "the losses of all 2 steps are the same, bit for bit"
    assert replay_of([4.0], [4.04]).agrees and not replay_of([4.0], [4.4]).agrees


def test_a_step_that_only_one_of_both_left_out_is_no_agreement():
    assert not replay_of([4.0, None], [4.0, 3.0]).agrees


def test_losses_of_all_steps_are_read_from_a_log(tmp_path):
    lines = [
        {"kind": "steps", "losses": [3.0, None]}, {"kind": "epoch", "step": 2}, {"kind": "steps", "losses": [2.0]},
    ]  # fmt: skip
    assert logged_losses(written(tmp_path / "log", "\n".join(map(json.dumps, lines)))) == [3.0, None, 2.0]


def test_what_is_no_log_is_an_error(tmp_path):
    file = written(tmp_path / "log", "3.0\n2.0\n")
    with pytest.raises(InputError) as fault:
        logged_losses(file)
    assert str(fault.value) == (
        f"{file} is no log of a run: 'float' object is not subscriptable\nhint: take its metrics.jsonl"
    )


def test_a_log_in_which_a_digit_changed_is_an_error(tmp_path):
    log = tmp_path / "log"
    for loss in (3.0, 2.0):
        append_line(log, {"kind": "steps", "losses": [loss]})
    log.write_bytes(log.read_bytes().replace(b"[2.0]", b"[2.4]"))
    with pytest.raises(InputError, match="line 2 is not what was written\nhint: take an undamaged copy"):
        logged_losses(log)


def recipe(folder, **changed):
    settings = PretrainSettings.gather(**{"classes": 4, "training_precision": "float32", **changed})
    return written(folder / "settings.json", json.dumps(settings.model_dump(mode="json")))


def test_a_log_that_is_too_short_is_an_error(tmp_path):
    log = written(tmp_path / "log", '{"kind": "steps", "losses": [3.0, 2.0]}')
    with pytest.raises(InputError) as fault:
        replay.replayed(recipe(tmp_path), log, steps=3)
    assert str(fault.value) == f"{log} holds 2 steps, not 3\nhint: ask for --steps 2"


def test_a_recipe_that_leaves_the_precision_open_is_an_error(tmp_path):
    open_recipe = recipe(tmp_path, training_precision="auto")
    with pytest.raises(InputError) as fault:
        replay.replayed(open_recipe, tmp_path / "log")
    assert str(fault.value) == (
        f"{open_recipe} leaves the precision of the steps to each machine, so a replay could take another one\n"
        "hint: give the run --set training_precision=bfloat16 or float32"
    )
