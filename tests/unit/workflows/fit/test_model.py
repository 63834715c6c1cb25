import json
import shutil

import pytest
from huggingface_hub import constants

from vitrail.basics.errors import InputError
from vitrail.basics.events import nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.models.sources import STARTER_FOLDER
from vitrail.workflows.fit.model import chosen_fit
from vitrail.workflows.fit.settings import DEFAULT_MODEL

ASKED = json.loads((STARTER_FOLDER / "config.json").read_text())["fit"]


@pytest.fixture
def no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_without_a_name_and_without_a_network_the_starter_is_taken_and_said_to_be(no_network, tmp_path):
    chosen = chosen_fit(None, {}, run=tmp_path / "run")
    assert chosen.settings.model.name == "starter"
    assert chosen.why_model == (
        "No model was named: the starter weights that come with Vitrail were taken, because "
        f"{DEFAULT_MODEL}, the usual one, is not on this machine and HF_HUB_OFFLINE is set."
    )


def test_a_named_model_needs_no_reason(no_network, tmp_path):
    assert chosen_fit("starter", {}, run=tmp_path / "run").why_model is None
    chosen = chosen_fit("test_vit", {"pretrained": False}, run=tmp_path / "run")
    assert (chosen.sentences, chosen.settings.model.name) == ((), "test_vit")


@pytest.mark.parametrize("name", [DEFAULT_MODEL, "starter"])
def test_an_interrupted_run_keeps_its_model_whatever_the_network_does_now(name, no_network, tmp_path):
    with RunFolder.open(tmp_path / "run", {}) as run:
        run.note("default model", name=name, why="it was so")
        (run.work / "something").touch()
    chosen = chosen_fit(None, {"pretrained": False}, run=tmp_path / "run")
    assert (chosen.settings.model.name, chosen.why_model) == (name, "it was so")


def test_a_finished_run_decides_nothing_for_the_one_that_replaces_it(no_network, tmp_path):
    with RunFolder.open(tmp_path / "run", {}) as run:
        run.note("default model", name="test_vit", why="it was so")
        (run.work / "something").touch()
        run.finish()
    assert chosen_fit(None, {}, run=tmp_path / "run").settings.model.name == "starter"


def test_the_choice_is_told_and_kept_in_the_journal_once(no_network, tmp_path):
    chosen, told = chosen_fit(None, {}, run=tmp_path / "run"), []
    with RunFolder.open(tmp_path / "run", {}) as run:
        chosen.tell(run, told.append)
        chosen.tell(run, nobody)
        (line,) = run.all_noted("default model")
    assert (line["name"], line["why"]) == ("starter", chosen.why_model)
    assert told[0].text == f"chosen   {chosen.why_model}"
    assert chosen.sentences == (chosen.why_model, chosen.advice)


def test_the_starter_asks_to_be_trained_whole_and_longer(tmp_path):
    training = chosen_fit("starter", {"stages": None, "preset": "standard"}, run=tmp_path).settings.training
    assert training.stages == ("all",) and training.epochs_factor > 1
    assert {name: getattr(training, name) for name in ASKED} == {**ASKED, "stages": ("all",)}


def test_what_a_user_sets_wins_over_what_weights_ask_for(tmp_path):
    typed = {"stages": "head,all", "learning_rate": 2e-4, "layer_decay": 0.5, "epochs_factor": 1.0, "in_doubt": "probe"}
    chosen = chosen_fit("starter", typed, run=tmp_path)
    training = chosen.settings.training
    assert (training.stages, training.learning_rate, training.layer_decay) == (("head", "all"), 2e-4, 0.5)
    assert (training.epochs_factor, training.in_doubt, chosen.advice) == (1.0, "probe", None)
    assert chosen_fit("starter", {"stages": "probe"}, run=tmp_path).settings.training.stages == ()
    assert chosen_fit("starter", {"preset": "quick"}, run=tmp_path).settings.training.stages is None


def test_advice_that_is_no_setting_of_training_is_refused(tmp_path):
    folder = tmp_path / "weights"
    shutil.copytree(STARTER_FOLDER, folder)
    (folder / "SHA256SUMS").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "fit": {"on_bad_image": "skip"}}))
    with pytest.raises(InputError) as caught:
        chosen_fit(str(folder), {}, run=tmp_path / "run")
    assert str(caught.value) == (
        f"{folder} asks in its config.json (fit) for settings of training that there are not: a setting is wrong:\n"
        "  - unknown setting 'on_bad_image'\nhint: correct the config.json, or remove its fit"
    )
