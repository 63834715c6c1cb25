import json

import pytest

from vitrail.basics.checks import write_checked_json
from vitrail.basics.errors import InputError
from vitrail.workflows.pretrain.recipe import recipe_values
from vitrail.workflows.pretrain.settings import PretrainSettings

HINT = "\nhint: take the settings.json of a run folder, or the pretraining.json of its package"


@pytest.mark.parametrize("kept_as", [lambda settings: settings, lambda settings: {"seconds": 1, "settings": settings}])
def test_the_settings_that_a_run_or_its_weights_keep_make_the_same_settings_again(kept_as, tmp_path):
    asked = PretrainSettings.gather(seed=3, classes=7, width=24, heads=2, mixup=0.2, sizes="16,24", steps=5)
    file = tmp_path / "kept.json"
    file.write_text(json.dumps(kept_as(asked.model_dump(mode="json"))))
    assert PretrainSettings.gather(**recipe_values(file)) == asked
    other = PretrainSettings.gather(**{**recipe_values(file), "classes": 8})
    assert other.images.classes == 8 and other.training == asked.training


def test_the_settings_of_a_run_folder_are_a_recipe_and_a_damaged_one_is_none(tmp_path):
    asked = PretrainSettings.gather(seed=3, classes=7)
    file = tmp_path / "settings.json"
    write_checked_json(file, asked.model_dump(mode="json"))
    assert PretrainSettings.gather(**recipe_values(file)) == asked
    file.write_text(file.read_text().replace('"seed": 3', '"seed": 2'))
    with pytest.raises(InputError, match=r"settings\.json is damaged"):
        recipe_values(file)


def test_a_recipe_that_is_none_is_an_error(tmp_path):
    file = tmp_path / "recipe.json"

    def told() -> str:
        with pytest.raises(InputError) as fault:
            recipe_values(file)
        return str(fault.value)

    assert told() == f"{file}: there is no such file{HINT}"
    file.write_text("{")
    assert told() == (
        f"{file} is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1){HINT}"
    )
    for content in ("[1]", '{"seed": 0}', '{"settings": {"training": 3}}'):
        file.write_text(content)
        assert told() == f"{file} holds no settings of a pretraining{HINT}"
