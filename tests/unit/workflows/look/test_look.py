"""`vitrail look`, with a small random package and pictures of formulas."""

import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from tests.conftest import picture
from tests.unit.models.test_package import CLASSES, built_model, contents
from vitrail.basics.errors import InputError
from vitrail.basics.events import WorkAdvanced, WorkStarted
from vitrail.cli.main import app
from vitrail.evaluation.look_folder import LookFolder
from vitrail.evaluation.look_settings import LookSettings
from vitrail.features.attention.layers import NoTokenAttention
from vitrail.models.package import write_package

QUICK = {"random_maps": 2, "removed": (0.5,), "emit": vitrail.nobody, "device": "cpu", "workers": 0}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("look")
    write_package(folder / "package", built_model(), contents=contents())
    (folder / "images").mkdir()
    for number in range(3):
        picture(number, size=(60, 50), hue=number).save(folder / "images" / f"{number}.png")
    (folder / "images" / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def result(place):
    return vitrail.look(place / "package", place / "images", out=place / "out", **QUICK)


def _lines(folder):
    return [json.loads(line) for line in (folder / "images.jsonl").read_text().splitlines()]


def test_every_image_has_a_picture_and_a_line_of_figures(result):
    lines = _lines(result.folder)
    assert len(lines) == result.looked.images == 3
    for line in lines:
        with Image.open(result.folder / line["picture"]) as shown:
            assert shown.width > 4 * 200
        assert line["predicted"] in CLASSES and line["explained"] == line["predicted"]
        assert set(line["faithfulness"]) == {"rollout", "relevance"}
        assert 0 <= line["attention"]["on_top_1_percent_of_tokens"] <= 1
    assert (result.folder / "filters.png").is_file() and (result.folder / "positions.png").is_file()


def test_the_page_is_self_contained_and_says_what_was_seen(result):
    page = result.report.read_text()
    assert "http" not in page.replace('http-equiv="', "").replace("http://www.w3.org", "")
    for words in ("Where it looks", "How far it looks", "What it looks for", "What it knows of places"):
        assert words in page
    assert page.count('<figure class="look">') == 3
    figures = json.loads((result.folder / "report.json").read_text())["sections"]
    assert figures["reach"]["figures"]["images"] == 3
    mean = np.mean([line["distances"] for line in _lines(result.folder)], axis=0)
    assert np.array(figures["reach"]["figures"]["distances"]) == pytest.approx(mean, abs=2e-4)


def test_what_cannot_be_read_is_told(result, place):
    assert list(result.looked.unread) == [str(place / "images" / "broken.png")]
    assert "1 images could not be read" in result.report.read_text()


def test_the_result_says_where_everything_is(result):
    text = repr(result)
    assert str(result.report) in text and str(result.folder) in text
    assert "rollout" in text and "relevance" in text
    assert json.loads(json.dumps(result.as_json()))["images"] == 3


def test_an_interrupted_look_is_gone_on_with_and_ends_alike(place, result):
    def stop(event):
        if isinstance(event, WorkAdvanced):
            raise KeyboardInterrupt

    out = place / "interrupted"
    images = [str(place / "images" / f"{number}.png") for number in itertools.chain(range(3), range(3), range(3))]
    files = []
    for number, path in enumerate(images):
        files.append(place / f"copy{number}.png")
        shutil.copy(path, files[-1])
    with pytest.raises(KeyboardInterrupt):
        vitrail.look(place / "package", files, out=out, **{**QUICK, "emit": stop})
    finished = _lines(out)
    assert len(finished) == 8 and all((out / line["picture"]).is_file() for line in finished)
    written = {line["picture"]: (out / line["picture"]).stat().st_mtime_ns for line in finished}
    again = vitrail.look(place / "package", files, out=out, **QUICK)
    assert (again.looked.images, again.looked.earlier) == (9, 8)
    assert all((out / name).stat().st_mtime_ns == time for name, time in written.items())
    straight = vitrail.look(place / "package", files, out=place / "straight", **QUICK)
    one, other = (json.loads((each.folder / "report.json").read_text())["sections"] for each in (again, straight))
    assert one["reach"] == other["reach"] and one["looks"] == other["looks"]
    pages = [each.report.read_text().count("data:image/jpeg") for each in (again, straight)]
    assert pages == [9 * 4 + 1] * 2


def test_a_torn_last_line_is_looked_at_again(place):
    out = place / "torn"
    first = vitrail.look(place / "package", place / "images" / "0.png", out=out, **QUICK)
    whole = (out / "images.jsonl").read_text()
    (out / "images.jsonl").write_text(whole[:-40] + "\n")
    again = vitrail.look(place / "package", place / "images" / "0.png", out=out, **QUICK)
    assert again.looked.images == first.looked.images == 1 and again.looked.earlier == 0


def test_nothing_of_others_is_overwritten(place, result):
    (place / "mine").mkdir()
    (place / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"mine: something else stands there\nhint: choose another --out"):
        vitrail.look(place / "package", out=place / "mine", **QUICK)
    with pytest.raises(InputError, match="out: another look stands there"):
        vitrail.look(place / "package", place / "images", out=place / "out", layer=0, **QUICK)
    assert [each.name for each in (place / "mine").iterdir()] == ["notes.txt"]


def test_a_new_folder_is_taken_where_none_is_named(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = vitrail.look(place / "package", **QUICK)
    again = vitrail.look(place / "package", **QUICK)
    other = vitrail.look(place / "package", **{**QUICK, "random_maps": 3})
    assert first.folder == again.folder
    assert other.folder.name == f"{first.folder.name}-2"
    assert first.looked is None and (first.folder / "filters.png").is_file()


def test_a_class_is_explained_by_name_or_refused_with_those_that_there_are(place):
    found = vitrail.look(place / "package", place / "images" / "0.png", out=place / "of", of_class=CLASSES[1], **QUICK)
    assert found.looked.shown[0]["explained"] == CLASSES[1]
    with pytest.raises(InputError, match=r"there is no class 'wasps'\nhint: "):
        vitrail.look(place / "package", place / "images" / "0.png", out=place / "no", of_class="wasps", **QUICK)
    assert not (place / "no").exists()


def test_a_model_without_token_attention_is_refused_before_anything_is_written(place, tmp_path):
    with pytest.raises(NoTokenAttention, match="ResNet has no attention"):
        vitrail.look(str(_convolutional(tmp_path)), place / "images" / "0.png", out=tmp_path / "out", **QUICK)
    assert not (tmp_path / "out").exists()


def test_progress_says_how_many_there_are(place, tmp_path):
    events = []
    vitrail.look(
        place / "package", place / "images" / "0.png", out=tmp_path / "out", **{**QUICK, "emit": events.append}
    )
    assert WorkStarted("looking", 1) in events and WorkAdvanced("looking", 1) in events


def test_the_command_prints_json_and_ends_with_1_where_an_image_cannot_be_read(place, tmp_path, capsys):
    arguments = ["look", str(place / "package"), str(place / "images"), "--head", "all", "--layer", "-2", "--json"]
    settings = ["--set", "random_maps=1", "--set", "removed=[0.5]", "--set", "judged_maps=0"]
    code = app(
        [*arguments, *settings, "--out", str(tmp_path / "out"), "--quiet", "--workers", "0"], standalone_mode=False
    )
    told = json.loads(capsys.readouterr().out)
    assert code == 1 and told["images"] == 3
    assert told["shown"][0]["attention"]["head"] is None


def test_a_head_that_is_none_is_refused():
    with pytest.raises(InputError, match="--head first: a number from 0 on, or all, was expected"):
        app(["look", "anything", "--head", "first"], standalone_mode=False)


def _convolutional(folder):
    import timm

    model = timm.create_model("resnet10t", num_classes=3)
    timm.models.save_for_hf(model, folder / "resnet", model_config={})
    return f"local-dir:{folder / 'resnet'}"


def test_numbers_that_nobody_can_draw_by_or_take_away_are_refused():
    for settings, text in (
        ({"seed": -1}, "seed: "),
        ({"removed": (2,)}, "removed: "),
        ({"removed": (0,)}, "removed: "),
    ):
        with pytest.raises(InputError, match=text):
            LookSettings.parse(**settings)


def test_a_line_that_was_cut_off_takes_no_other_with_it(tmp_path):
    folder = LookFolder.open(tmp_path / "out", {"model": "m"}, name="m")
    folder.keep([{"key": "a", "stamp": [1, 1]}])
    with open(tmp_path / "out" / "images.jsonl", "a") as file:
        file.write('{"key": "b", "sta')
    again = LookFolder.open(tmp_path / "out", {"model": "m"}, name="m")
    again.keep([{"key": "b", "stamp": [2, 2]}])
    again.keep([{"key": "c", "stamp": [3, 3]}])
    assert [each["key"] for each in again.records()] == ["a", "b", "c"]
