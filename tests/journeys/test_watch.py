"""Somebody has a package and new images, and wants to know whether they are like those it knows."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import vitrail as product
from tests.unit.models.test_package import built_model, contents
from vitrail.models.package import write_package


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A package that knows what its images are like, and folders of other such images, and of unlike ones."""
    folder = tmp_path_factory.mktemp("watch")
    random = np.random.default_rng(0)
    for name, least in (("labelled/ant", 0), ("labelled/bee", 0), ("same", 0), ("pale", 200)):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            coarse = random.integers(least, 256, (5, 5, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(folder / name / f"{number}.png")
    (folder / "same" / "broken.png").write_bytes(b"nothing")
    write_package(folder / "package", built_model(), contents=contents())
    product.with_reference(
        folder / "package", folder / "labelled", folder / "knowing", workers=0, emit=product.nobody
    )  # fmt: skip
    return folder


def test_a_package_that_knows_nothing_of_its_images_says_how_to_get_one_that_does(vitrail, known, tmp_path):
    ended = vitrail("watch", known / "package", known / "same", "--out", tmp_path / "run")
    assert ended.code == 2 and "does not say what the images are like that it knows" in ended.err
    assert "hint: vitrail watch PACKAGE DATA --write-reference NEW" in ended.err
    assert not (tmp_path / "run").exists()
    written = vitrail(
        "watch", known / "package", known / "labelled", "--write-reference", tmp_path / "new", "--workers", 0
    )
    assert written.code == 0 and f"next     vitrail watch {tmp_path / 'new'} IMAGES" in written.err
    assert product.load(tmp_path / "new").reference is not None
    again = vitrail("watch", known / "package", known / "labelled", "--write-reference", tmp_path / "new", "-q")
    assert again.code == 2 and "exists already" in again.err


def test_images_like_the_known_ones_are_not_shifted_and_others_are_with_exit_code_1(vitrail, known, tmp_path):
    calm = vitrail("watch", known / "knowing", known / "same", "--out", tmp_path / "a", "--workers", 0, "--json")
    assert calm.code == 0, calm.err
    told = json.loads(calm.out)
    assert told["verdict"] == "not shifted" and told["images"] == 40 and list(told["unread"]) != []
    ended = vitrail("watch", known / "knowing", known / "pale", "--out", tmp_path / "b", "--workers", 0, "--json")
    assert ended.code == 1
    told, report = json.loads(ended.out), json.loads((tmp_path / "b" / "report.json").read_text())
    figures = report["sections"]["shift"]["figures"]
    assert (told["verdict"], told["shift_detected"]) == ("shifted", True)
    assert {name: figures[name] for name in ("shift_score", "p_value")} == {
        name: told[name] for name in ("shift_score", "p_value")
    }
    assert len(told["outlier_indices"]) == round(told["shift_score"] * 40)
    page = (tmp_path / "b" / "report.html").read_text()
    assert page.count("data:image/jpeg") == 24 == len(figures["unusual_images"])
    assert str(known) not in page.partition("How to get this again")[0]


def test_where_nothing_can_be_read_nothing_is_said_and_the_exit_code_is_not_0(vitrail, known, tmp_path):
    ended = vitrail("watch", known / "knowing", known / "same" / "broken.png", "--out", tmp_path / "run", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert "none of 1 image could be read, the first: " in ended.err and "hint: " in ended.err


def test_names_that_are_no_utf8_are_watched_and_spelled(known, tmp_path):
    (tmp_path / "new").mkdir()
    odd = os.fsdecode(os.fsencode(tmp_path / "new") + b"/\xff")
    shutil.copy(known / "same" / "0.png", odd + ".png")
    shutil.copy(known / "same" / "broken.png", odd + "_broken.png")
    result = product.watch(known / "knowing", tmp_path / "new", out=tmp_path / "run", workers=0, emit=product.nobody)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["sections"]["shift"]["figures"]["unusual_images"][0]["path"].endswith("\\xff.png")
    assert list(result.as_json()["unread"]) == [str(tmp_path / "new" / "\\xff_broken.png")]
    assert "\\xff_broken.png" in result.report.read_text()


def test_few_images_get_no_verdict_as_a_whole(known, tmp_path):
    files = sorted((known / "pale").iterdir())[:5]
    result = product.watch(known / "knowing", files, out=tmp_path / "run", workers=0, emit=product.nobody)
    assert result.verdict.decision == "not enough images" and result.shift_detected is None
    assert not result.is_shifted and result.shift_score is not None
    assert repr(result).startswith("not enough images ")


def test_a_stream_goes_on_from_call_to_call_and_its_change_ends_with_exit_code_1(vitrail, known, tmp_path):
    state = tmp_path / "state.json"

    def looked(folder, number):
        out = tmp_path / f"look{number}"
        return vitrail("watch", known / "knowing", known / folder, "--stream", state, "--out", out, "--workers", 0,
                       "--json")  # fmt: skip

    first = json.loads(looked("same", 1).out)["stream"]
    assert (first["images"], first["new_images"], first["alarm"]) == (40, 40, False)
    again = json.loads(looked("same", 2).out)["stream"]
    assert (again["images"], again["new_images"]) == (40, 0)
    changed = looked("pale", 3)
    assert changed.code == 1 and json.loads(changed.out)["stream"]["alarm"] is True


def test_stopped_in_between_it_goes_on_with_the_answers_it_has(known, tmp_path, monkeypatch):
    asked = {"out": tmp_path / "run", "workers": 0, "emit": product.nobody}
    with monkeypatch.context() as within:
        within.setattr("vitrail.workflows.watch.write_report", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            product.watch(known / "knowing", str(known / "pale"), **asked)
    with monkeypatch.context() as within:
        within.setattr("vitrail.prediction.predictor.Predictor._answers", None)  # nothing is computed again
        assert product.watch(known / "knowing", str(known / "pale"), **asked).is_shifted


def test_predict_marks_unlike_images_and_counts_them(vitrail, known):
    ended = vitrail("predict", known / "knowing", known / "pale", "--workers", 0)
    assert "images are unlike the images this model was trained and checked on; expected were 2. Do not" in ended.err
    assert ended.out.count("unlike known images") > 30
    rows = vitrail("predict", known / "knowing", known / "pale", "--csv", "--workers", 0).out.splitlines()
    assert rows[0].endswith(",likeness,unlike") and rows[1].endswith(",true")
    plain = vitrail("predict", known / "package", known / "pale", "--json", "--workers", 0)
    assert "unlike" not in plain.out + plain.err and "likeness" not in plain.out


def test_an_evaluation_says_whether_its_images_are_like_the_known_ones(known, tmp_path):
    asked = {"evaluations": "shift", "workers": 0, "emit": product.nobody}
    result = product.evaluate(known / "knowing", known / "labelled", out=tmp_path / "a", **asked)
    section = result.sections["shift"]
    assert section.figures["verdict"] in ("not shifted", "shifted") and section.figures["images"] == 80
    assert section.sentences[0].verdict == section.figures["verdict"]
    without = product.evaluate(known / "package", known / "labelled", out=tmp_path / "b", **asked)
    assert "the package does not say what the images are like" in without.not_judged["shift"]


def test_pictures_in_memory_are_refused_with_another_way(known, tmp_path):
    with pytest.raises(ValueError, match=r"an image in memory \(ndarray\) was given.*\nhint: give files"):
        product.watch(known / "knowing", np.zeros((8, 8, 3), np.uint8), out=tmp_path / "run")
