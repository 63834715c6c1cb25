"""Training beyond the probe, as a user meets it: planned, told, judged, compared."""

import json
import re

import numpy as np
import pytest

from tests.conftest import picture

SMALL = ["--model", "test_vit", "--set", "pretrained=false", "--set", "image_size=32", "--workers", "0"]


TWINS = dict.fromkeys(("ant", "bee", "cat", "ant's twin", "bee's twin", "cat's twin"), 20)
"""Classes of which no model can tell more than three apart, so that any two models are wrong about different images."""


@pytest.fixture
def folder(write_images):
    return write_images({"cat": 40, "dog": 40})


def test_the_report_tells_stages_epochs_and_what_was_kept(folder, tmp_path, vitrail):
    ended = vitrail("fit", folder, *SMALL, "--stages", "head,top,all", "--set", "unfreeze=2", "--set", "top_epochs=2",
                    "--set", "head_epochs=3", "--set", "all_epochs=1", "--set", "patch_size=8", "--set", "dropout=0.1",
                    "--set", "attention_dropout=0.1", "--set", "drop_path=none", "--out", tmp_path / "run")  # fmt: skip
    assert ended.code == 0, ended.err
    asked = json.loads((tmp_path / "run" / "settings.json").read_text())["model"]
    assert (asked["patch_size"], asked["dropout"], asked["drop_path"]) == (8, 0.1, 0.0)
    described = json.loads((tmp_path / "run" / "package" / "config.json").read_text())["model_args"]
    assert described["patch_size"] == 8 and not any("drop" in name for name in described)
    section = json.loads((tmp_path / "run" / "report.json").read_text())["sections"]["training"]
    training = section["figures"]
    assert [(stage["name"], stage["epochs"]) for stage in training["stages"]] == [("head", 3), ("top", 2), ("all", 1)]
    assert [record["epoch"] for record in training["epochs"]] == [1, 2, 3, 4, 5, 6]
    assert {"convergence_epoch", "overfitting_start", "final_train_val_gap", "max_val_acc"} <= training["curve"].keys()
    curve, epochs = training["curve"], training["epochs"]
    assert (curve["n"], curve["epochs"], curve["training_n"]) == (16, 6, 64)
    assert all(row["n"] == 16 and row["training_n"] == 64 for row in epochs)
    for name in ("validation_accuracy", "validation_loss"):
        assert all(row[f"{name}_interval"][0] <= row[name] <= row[f"{name}_interval"][1] for row in epochs)
    measures = curve["measures"]
    assert measures["max_val_acc"]["value"] == pytest.approx(curve["max_val_acc"])
    assert measures["convergence_epoch"]["value"] == curve["convergence_epoch"]
    gap = measures["final_train_val_gap"]
    assert gap["value"] == pytest.approx(curve["final_train_val_gap"], abs=1e-6)
    assert gap["low"] < gap["value"] < gap["high"] and gap["n"] == 16 + 64
    assert re.search(r"training best of 6 epochs \d+\.\d % \(.*, n = 16\); validation − training loss at the end "
                     r"-?\d\.\d+ nats \(.*, n = 16 validation and 64 training images\)", ended.out)  # fmt: skip
    assert len(re.findall(r"epoch    .*% right, n = 16", ended.err)) == 6
    assert training["choice"]["decision"] in ("better", "worse", "not enough evidence")
    assert (training["chosen_epoch"] is not None) == (training["choice"]["decision"] == "better")
    assert any("cross-fitted" in sentence["text"] for sentence in section["sentences"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Validation figures of every epoch rest on 16 images, the training loss on 64" in page
    assert "How it was trained" in page and page.count("<svg") >= 3
    epochs = [line for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines() if '"epoch"' in line[:18]]
    assert len(epochs) == 6
    assert re.search(r"probe +\d+\.\d %", ended.err), "a first number before the long work"
    assert ended.err.index("probe  ") < ended.err.index("epoch  ")
    assert not (tmp_path / "run" / "work").exists(), "caches are removed"


def test_the_plan_shows_every_rate_and_leaves_no_trace(folder, tmp_path, vitrail, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    command = ["fit", folder, *SMALL, "--stages", "head,all", "--set", "head_epochs=2", "--set", "all_epochs=1",
               "--set", "images_per_step=30", "--plan"]  # fmt: skip
    shown = vitrail(*command)
    assert shown.code == 0, shown.err
    assert re.search(r"plan +stage +epochs +steps +trains", shown.out)
    plan = json.loads(vitrail(*command, "--json").out)
    images = 64
    per_epoch = -(-images // 30)
    assert plan["optimizer_steps"] == len(plan["learning_rates"]) == 3 * per_epoch
    head = plan["learning_rates"][0]["rates"]
    assert head["block 1"] == 0 and head["head"] > 0
    last = plan["learning_rates"][-1]["rates"]
    assert last["norm"] / last["head"] == pytest.approx(0.75)
    assert last["head"] == pytest.approx(5e-4 * 0.01)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_training_that_teaches_nothing_leaves_the_probe(tmp_path, vitrail, write_images):
    folder = tmp_path / "noise"
    for label in ("one", "two"):
        (folder / label).mkdir(parents=True)
        for index in range(30):
            picture(index + 100 * (label == "two"), hue=1).save(folder / label / f"{index}.png")
    run = tmp_path / "run"
    ended = vitrail("fit", folder, *SMALL, "--stages", "all", "--set", "all_epochs=2", "--out", run)
    assert ended.code == 0, ended.err
    training = json.loads((run / "report.json").read_text())["sections"]["training"]
    assert training["figures"]["chosen_epoch"] is None
    assert training["sentences"][0]["verdict"] in ("worse", "not enough evidence")
    assert "the probe" in training["sentences"][1]["text"].lower()


def test_compare_scratch_reports_the_three_gains_with_intervals(write_images, tmp_path, vitrail):
    folder = write_images(TWINS)
    ended = vitrail("fit", folder, *SMALL, "--stages", "all", "--set", "all_epochs=2", "--set", "test_fraction=0.3",
                    "--seed", "1", "--compare", "scratch", "--out", tmp_path / "run", "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    assert re.search(r"scratch +the same network from nothing, 2 epochs, about", ended.err), "the cost is said first"
    scratch = json.loads((tmp_path / "run" / "report.json").read_text())["sections"]["gain"]["figures"]
    ours, theirs = json.loads(ended.out)["quality"]["test"]["accuracy"]["value"], scratch["accuracy"]["value"]
    assert ours != theirs, "otherwise the next line could not tell a gain from a loss"
    assert np.isclose(scratch["gain"]["absolute_improvement"]["value"], ours - theirs)
    assert set(scratch["gain"]) >= {"transfer_gain", "normalized_gain", "absolute_improvement"}
    assert len(scratch["epochs"]) == 2
    assert scratch["accuracy"]["n"] == scratch["gain"]["absolute_improvement"]["n"]


def test_the_study_of_stages_compares_both_arms_on_the_same_images_and_goes_on_where_it_was(
    write_images, tmp_path, vitrail
):
    command = ["study", "staged", write_images(TWINS), "--model", "test_vit", "--set", "pretrained=false", "--set",
               "image_size=32", "--workers", "0", "--set", "head_epochs=1", "--set", "top_epochs=1", "--set",
               "all_epochs=1", "--set", "unfreeze=1", "--out", tmp_path / "study", "--json"]  # fmt: skip
    ended = vitrail(*command, "--seeds", "1")
    assert ended.code == 0, ended.err
    one = json.loads(ended.out)["data"]["images"]
    staged, at_once = one["mean_accuracy"]["staged"], one["mean_accuracy"]["one-shot"]
    assert staged != at_once, "otherwise the next line could not tell a gain from a loss"
    assert np.isclose(one["gain"]["difference"]["value"], staged - at_once)
    assert one["mean_auc"] == {arm: one["arms"][arm][0]["auc"]["value"] for arm in one["arms"]}
    assert one["verdict"] in ("confirmed", "refuted", "not enough evidence")
    (first,) = (tmp_path / "study" / "images").glob("*/seed-0/result.json")
    written = first.stat().st_mtime_ns
    two = json.loads(vitrail(*command, "--seeds", "2").out)["data"]["images"]
    assert first.stat().st_mtime_ns == written
    walks = (first.parent / "run" / "metrics-one-shot.jsonl").read_text().count('"validation_loss"')
    assert walks == 3, "as many walks through the images as all stages together"
    for arm in ("probe", "staged", "one-shot"):
        assert two["arms"][arm][0] == one["arms"][arm][0]
        assert len(two["arms"][arm]) == 2
    assert two["arms"]["probe"][0] != two["arms"]["probe"][1], "every seed draws its own split"
    page, gain = (tmp_path / "study" / "report.html").read_text(), two["gain"]["difference"]["value"]
    assert f"{100 * gain:+.1f} points".replace("-", "−") in page and f"10 to 15 points: {two['verdict']}" in page
    told = json.loads((tmp_path / "study" / "report.json").read_text())["sections"]["staged"]["figures"]["data"]
    assert told["images"] == two
    vitrail(*command, "--seeds", "1", "--set", "learning_rate=0.05")
    assert len(list((tmp_path / "study" / "images").glob("*/seed-0/result.json"))) == 2, "other settings, other runs"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stages", "all,head"], "stages go from head to top to all, each once"),
        (["--stages", "tail"], "'tail' is no stage"),
        (["--set", "all_epochs=0"], "all_epochs"),
        (["--stages", "top", "--set", "unfreeze=99"], "99 blocks were to be unfrozen"),
        (["--stages", "all", "--set", "images_per_step=5000"], "a step of 5000 images was asked for, there are"),
        (["--time", "soon"], "a time such as 90s, 20m or 1h30m was expected"),
        (["--log", "paper"], "tensorboard"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_a_hint(options, said, folder, tmp_path, vitrail):
    ended = vitrail("fit", folder, *SMALL, *options, "--out", tmp_path / "run")
    assert ended.code == 2
    assert said in ended.err
    assert "hint:" in ended.err
    assert not (tmp_path / "run" / "report.json").exists()


def test_a_rate_that_makes_everything_one_class_is_named(folder, tmp_path, vitrail):
    ended = vitrail("fit", folder, *SMALL, "--stages", "all", "--set", "all_epochs=1", "--set", "learning_rate=50",
                    "--set", "optimizer=sgd", "--set", "clip=0", "--out", tmp_path / "run")  # fmt: skip
    assert ("every validation image is called" in ended.err) or ("was not finite" in ended.err), ended.err


def test_the_package_answers_as_the_kept_epoch_did_with_its_confidence_lowered(folder, tmp_path, monkeypatch):
    import vitrail as library
    from vitrail.training import arm
    from vitrail.training import choice as choices

    seen = {}

    def kept_whatever_chance_says(candidates, *, in_doubt):
        choice = choices.choose_epoch(candidates, in_doubt=in_doubt)
        epoch, _ = choices._best_epoch(candidates, np.arange(len(candidates.labels)))
        seen["logits"] = candidates.logits[epoch]
        return choices.EpochChoice(epoch, 2.5, choice.comparison, choice.cross_fitted)

    monkeypatch.setattr(arm, "choose_epoch", kept_whatever_chance_says)
    result = library.fit(folder, model="test_vit", pretrained=False, image_size=32, workers=0, out=tmp_path / "run",
                         stages="head,all", head_epochs=2, all_epochs=3, learning_rate=1e-3)  # fmt: skip
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert any("divided by 2.50" in sentence["text"] for sentence in report["sections"]["training"]["sentences"])
    expected = np.exp(seen["logits"] / 2.5)
    expected /= expected.sum(axis=1, keepdims=True)
    predictor = library.load(result.package)
    judged = validation_paths(folder)
    said = [list(predictor.predict(path)[0].probabilities.values()) for path in judged]
    np.testing.assert_allclose(said, expected, atol=2e-5)


def validation_paths(folder):
    """Paths of the validation images, in the order of the image table."""
    import vitrail as library
    from vitrail.data.columns import in_split
    from vitrail.data.split import SplitSettings, split_rows

    rows = split_rows(library.check(folder, workers=0).table, SplitSettings(), seed=0)
    return in_split(rows, "val")["path"].to_pylist()
