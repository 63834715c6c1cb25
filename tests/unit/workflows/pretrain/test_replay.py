import json

import pytest

from vitrail.basics.errors import InputError
from vitrail.workflows.pretrain.replay import replay_formula
from vitrail.workflows.pretrain.settings import PretrainSettings


def written(path, content) -> object:
    path.write_text(content)
    return path


def recipe(folder, **changed):
    settings = PretrainSettings.gather(**{"classes": 4, "training_precision": "float32", **changed})
    return written(folder / "settings.json", json.dumps(settings.model_dump(mode="json")))


def test_a_log_that_is_too_short_is_an_error(tmp_path):
    log = written(tmp_path / "log", '{"kind": "steps", "losses": [3.0, 2.0]}')
    with pytest.raises(InputError) as fault:
        replay_formula(recipe(tmp_path), log, steps=3)
    assert str(fault.value) == f"{log} holds 2 steps, not 3\nhint: ask for --steps 2"


def test_a_recipe_that_leaves_the_precision_open_is_an_error(tmp_path):
    open_recipe = recipe(tmp_path, training_precision="auto")
    with pytest.raises(InputError) as fault:
        replay_formula(open_recipe, tmp_path / "log")
    assert str(fault.value) == (
        f"{open_recipe} leaves the precision of the steps to each machine, so a replay could take another one\n"
        "hint: give the run --set training_precision=bfloat16 or float32"
    )
