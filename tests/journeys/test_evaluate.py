"""Somebody judges a package on labelled images, from the command line and from Python."""

import json

import pytest

import vitrail as product
from tests.unit.evaluation.realistic_report import realistic_answers
from tests.unit.models.test_package import built_model, contents
from vitrail.basics.errors import UnreadableImageError
from vitrail.evaluation import evaluations as known
from vitrail.evaluation.answers_file import write_answers
from vitrail.models.package import write_package
from vitrail.models.parts.seen import Seen


@pytest.fixture
def images(write_images):
    return write_images({"ant": 3, "bee": 4, "moth": 1})


@pytest.fixture
def package(tmp_path, images):
    trained_on = product.check(images, workers=0).table["id"].to_pylist()[:2]
    write_package(
        tmp_path / "package", built_model(), contents=contents(), parts=[Seen.of(trained_on, seed=0, fingerprint="f")]
    )
    return tmp_path / "package"


def test_a_package_is_judged_and_what_it_was_trained_on_or_does_not_know_is_named(vitrail, package, images, tmp_path):
    ended = vitrail(
        "evaluate", package, images, "--with", "quality", "--out", tmp_path / "run", "--workers", "0", "--json",
        "--split", "all",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    told, report = json.loads(ended.out), json.loads((tmp_path / "run" / "report.json").read_text())
    assert told["n"] == 7
    assert told["sections"] == report["sections"]
    quality = report["sections"]["quality"]["figures"]
    assert (quality["splits"]["given"]["n"], quality["leak_free_accuracy"]["n"]) == (7, 5)
    assert "2 of 7 images are among the 2 training images of the package" in json.dumps(report["sections"]["findings"])
    told_of = report["sections"]["scope"]["sentences"][0]["text"]
    assert "1 image of 1 class that the model does not know is in no figure: 'moth'" in told_of
    assert {name: why for name, why in told["not_judged"].items() if name != "quality"} == {
        name: "it was not asked for" for name in known.EVALUATIONS if name != "quality"
    }
    assert (tmp_path / "run" / "answers.csv").read_text().count("\n") == 8
    assert not (tmp_path / "run" / "work").exists()


def test_the_terminal_says_beside_the_accuracy_that_the_model_knew_some_images(package, images, tmp_path):
    asked = {"workers": 0, "evaluations": ["quality"], "emit": product.nobody}
    lines = product.evaluate(package, images, split="all", out=tmp_path / "run", **asked).lines()
    assert lines[0].startswith("accuracy   ")
    assert "n = 5) of those that it was not trained on" in lines[1]
    assert lines[2].startswith("warning    2 of 7 images are among the 2 training images of the package")


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), UnreadableImageError("a.jpg: does not exist")])
def test_stopped_within_the_evaluations_it_leaves_a_report_and_goes_on_with_the_answers_it_has(
    package, images, tmp_path, monkeypatch, reason
):
    def stopped(subject, settings):
        raise reason

    asked = {"out": tmp_path / "run", "workers": 0, "evaluations": ["quality"], "emit": product.nobody}
    with monkeypatch.context() as within:
        within.setattr(known, "EVALUATIONS", {"quality": stopped})
        with pytest.raises(type(reason)):
            product.evaluate(package, images, **asked)
    partial = json.loads((tmp_path / "run" / "report.json").read_text())
    assert partial["sections"]["scope"]["figures"] == {"quality": "not judged: it was stopped before that"}
    with monkeypatch.context() as within:
        within.setattr("vitrail.prediction.predictor.Predictor._answers", None)  # nothing is computed again
        result = product.evaluate(package, images, **asked)
    assert result.sections["quality"].figures["splits"]["new"]["n"] == 5
    assert "Judged on the 6 images that it was not trained on; 2 of 8 it was (--split all judges them, too)." in str(
        result.sections["scope"].sentences
    )
    assert result.lines()[0].startswith("accuracy   ")
    with pytest.raises(product.basics.errors.InputError, match="a finished run stands there"):
        product.evaluate(package, images, **asked)


def test_a_table_of_answers_is_judged_without_a_model_and_what_needs_one_says_so(vitrail, package, images, tmp_path):
    asked = {"out": tmp_path / "run", "workers": 0, "evaluations": ["quality"], "emit": product.nobody}
    first = product.evaluate(package, images, **asked)
    ended = vitrail("evaluate", tmp_path / "run" / "answers.parquet", "--out", tmp_path / "again", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    again = told["sections"]["quality"]["figures"]["splits"]
    accuracies = [each["accuracy"]["value"] for each in again.values()]
    assert accuracies == [first.sections["quality"].figures["splits"]["new"]["accuracy"]["value"]]
    assert told["not_judged"]["robustness"] == "it needs the model, and only a table of answers was given"
    assert "neither model nor images were looked at" in told["sections"]["scope"]["sentences"][0]["text"]


def test_a_folder_that_stands_for_a_table_and_a_seed_below_0_are_refused_in_words(images, package, tmp_path):
    write_answers({"val": realistic_answers(["ant", "bee"], n=9)}, tmp_path)
    for given, data, settings, text in (
        (tmp_path / "answers.parquet", images, {}, "it is a folder, a table was expected"),
        (package, images, {"seed": -1}, "seed: Input should be greater than or equal to 0"),
    ):
        with pytest.raises(product.basics.errors.InputError, match=text):
            product.evaluate(given, data, out=tmp_path / "run", emit=product.nobody, **settings)


def test_a_package_without_images_is_refused_with_the_way_out(vitrail, package):
    ended = vitrail("evaluate", package)
    assert (ended.code, ended.err) == (
        2,
        "error: a package is judged on labelled images, and none were named\nhint: name them behind it\n",
    )
