"""States of a data set in which little or nothing can be trained on or judged: the check finds what a fit would stumble
over. And what becomes of an earlier split."""

import json

import pandas as pd
import pyarrow as pa
import pytest

import vitrail
from tests.conftest import picture
from vitrail.basics.errors import FindingsError, InputError
from vitrail.basics.run_folder import RunFolder
from vitrail.data.split import SplitSettings, split_rows
from vitrail.data.split_images import SplitImages
from vitrail.data.split_memory import SplitMemory
from vitrail.data.usable_images import drawn_split_findings
from vitrail.workflows.fit.splits import EarlierSplits, keep_split

TINY = {"model": "test_vit", "pretrained": False, "image_size": 32, "preset": "quick", "thumbnails": False}


@pytest.fixture
def table(tmp_path):
    def made(labels, *, groups=None, splits=None, same=False):
        for number in range(len(labels)):
            picture(0 if same else number, size=(32, 32)).save(tmp_path / f"{number}.png")
        frame = pd.DataFrame({"path": [str(tmp_path / f"{n}.png") for n in range(len(labels))], "label": list(labels)})
        for name, values in (("group", groups), ("split", splits)):
            if values:
                frame[name] = list(values)
        return frame

    return made


IMPOSSIBLE = {
    "one image per class": ({"labels": "ab"}, "nothing-to-judge"),
    "many classes of one image": ({"labels": [f"c{n}" for n in range(40)]}, "nothing-to-judge"),
    "all images identical": ({"labels": "ab" * 15, "same": True}, "nothing-to-judge"),
    "all in one group": ({"labels": "ab" * 5, "groups": "g" * 10}, "nothing-to-judge"),
    "a group for every class": ({"labels": "aaabbb", "groups": "pppqqq"}, "nothing-to-judge"),
    "one training image per class beside a test set": (
        {"labels": "abab", "splits": ["train", "train", "test", "test"]},
        "nothing-to-judge",
    ),
    "only test": ({"labels": "aabb", "splits": ["test"] * 4}, "nothing-to-train"),
    "only val": ({"labels": "aabb", "splits": ["val"] * 4}, "nothing-to-train"),
    "val and test": ({"labels": "aabb", "splits": ["val", "test"] * 2}, "nothing-to-train"),
    "a class that training lacks": ({"labels": "ababc", "splits": ["train"] * 4 + ["val"]}, "class-missing-from-train"),
    "one class in training": ({"labels": "aaab", "splits": ["train"] * 3 + ["val"]}, "class-missing-from-train"),
    "one class": ({"labels": "aaa"}, "one-class"),
}


@pytest.mark.parametrize("state", IMPOSSIBLE)
def test_what_a_fit_cannot_do_is_an_error_of_the_check_and_stops_the_fit_in_the_same_words(state, table, tmp_path):
    asked, code = IMPOSSIBLE[state]
    data = table(**asked)
    errors = {finding.code: finding for finding in vitrail.check(data, workers=0).errors}
    assert code in errors
    assert errors[code].hint
    with pytest.raises(FindingsError) as refusal:
        vitrail.fit(data, **TINY, out=tmp_path / "run", workers=0)
    assert errors[code].title in refusal.value.message
    assert not (tmp_path / "run").exists()


POSSIBLE = {
    "two images per class": {"labels": "aabb"},
    "a class of one": {"labels": "aab"},
    "two groups": {"labels": "ab" * 6, "groups": "ppqq" * 3},
    "three groups": {"labels": "ab" * 6, "groups": "ppqqrr" * 2},
    "all of a class in one group": {"labels": "aaaabbbb", "groups": "12345555"},
    "train and test": {"labels": "aabbab", "splits": ["train"] * 4 + ["test"] * 2},
    "validation of one class": {"labels": "ababaa", "splits": ["train"] * 4 + ["val"] * 2},
    "a single validation image": {"labels": "ababa", "splits": ["train"] * 4 + ["val"]},
    "some splits given": {"labels": "ababab", "splits": [None, None, "train", "train", "val", "val"]},
}


@pytest.mark.parametrize("state", POSSIBLE)
def test_what_the_check_lets_through_is_fitted_however_small(state, table, tmp_path):
    data = table(**POSSIBLE[state])
    assert not vitrail.check(data, workers=0).errors
    result = vitrail.fit(data, **TINY, out=tmp_path / "run", workers=0)
    assert result.quality["val"].accuracy.n >= 1


def chosen(run):
    sections = json.loads((run / "report.json").read_text())["sections"]
    return [sentence["text"] for sentence in sections["model"]["sentences"]]


def test_fewer_folds_than_usual_are_told(table, tmp_path):
    vitrail.fit(table("ab" * 8, groups="ppqqrrss" * 2), **TINY, out=tmp_path / "run", workers=0)
    assert any(
        "cross-validated log loss in 3 folds, for more there are too few" in line for line in chosen(tmp_path / "run")
    )


def test_a_fit_in_python_says_which_call_made_it_what_came_out_and_what_to_type_next(table, tmp_path):
    run = tmp_path / "a run"
    result = vitrail.fit(table("ab" * 10), **TINY, out=run, workers=0)
    assert json.loads((run / "report.json").read_text())["command"] == (
        f'vitrail.fit(<DataFrame of 20 rows>, model="test_vit", out="{run}", workers=0, pretrained=False, '
        'image_size=32, preset="quick", thumbnails=False)'
    )
    accuracy, *_, package, report, _, following = repr(result).splitlines()
    assert accuracy.startswith(f"val      {result.quality['val'].accuracy.text()}   nearest neighbours ")
    assert package == f"package  {run}/package" and report == f"report   {run}/report.html"
    assert following == f"next     vitrail predict '{run}/package' IMAGES…"
    page = result._repr_html_()
    assert "&#x27;" in page and f'<a href="{run}/report.html" target="_blank">report</a>' in page


def test_a_fit_names_how_many_images_changed_sides_since_the_last_run_of_the_same_data(table, tmp_path):
    labels = "ab" * 20
    data = table(labels)
    vitrail.fit(data[:30], **TINY, out=tmp_path / "one", workers=0)
    vitrail.fit(data[:30], **TINY, out=tmp_path / "same", workers=0)
    assert not any("changed sides" in line for line in chosen(tmp_path / "same"))
    vitrail.fit(data, **TINY, seed=3, out=tmp_path / "two", workers=0)
    (said,) = [line for line in chosen(tmp_path / "two") if "changed sides" in line]
    assert f" of the 30 images that {tmp_path / 'same'} knew changed sides (" in said
    assert f"--splits-of {tmp_path / 'same'} keeps every image where it was." in said


def test_a_class_that_no_validation_image_is_of_after_the_draw_is_told(table):
    found = vitrail.check(table("aaaaaabbbbbbcc", groups="ppqqrrppqqrrss"), workers=0)
    everywhere = found.table.set_column(
        found.table.column_names.index("split"), "split", pa.array(["train"] * 10 + ["val"] * 2 + ["train"] * 2)
    )
    groups = pa.array(list("ppqqrrppqqrrst"))
    everywhere = everywhere.set_column(everywhere.column_names.index("group"), "group", groups)
    told = []
    (finding,) = drawn_split_findings(found, everywhere, emit=told.append)
    assert finding.code == "class-not-in-validation"
    assert finding.details == ("a", "c")
    assert finding.title in told[0].text


def test_a_continued_run_whose_kept_split_is_damaged_writes_it_again_and_says_so(table, tmp_path):
    rows = split_rows(vitrail.check(table("ab" * 4), workers=0).table, SplitSettings())
    images, told = SplitImages(rows, ["a", "b"], 0), []
    with RunFolder.open(tmp_path / "run", {}) as run:
        assert keep_split(run, images, EarlierSplits(), data="pets", emit=told.append) == ()
        (run.path / "splits.parquet").write_bytes(b"PAR1 broken")
        assert keep_split(run, images, EarlierSplits(), data="pets", emit=told.append) == ()
        assert SplitMemory.of(run.path).images
    assert [type(event).__name__ for event in told] == ["Recovered"]


def sides(run):
    rows = pd.read_parquet(run / "splits.parquet")
    return dict(zip(rows["id"], rows["split"], strict=True))


def test_splits_of_keeps_every_image_also_of_the_very_run_that_is_replaced(table, tmp_path):
    data = table("ab" * 20)
    run = tmp_path / "run"
    vitrail.fit(data[:30], **TINY, out=run, workers=0)
    before = sides(run)
    vitrail.fit(data, **TINY, seed=7, splits_of=str(run), out=run, overwrite=True, workers=0)
    now = sides(run)
    assert {identity: now[identity] for identity in before} == before
    assert list(now.values()).count("val") == 8
    assert f"30 of 40 images stay on the side where they were in {run}." in chosen(run)
    with pytest.raises(InputError, match="nowhere: no run is there\nhint: give the folder of a run that fit"):
        vitrail.fit(data, **TINY, splits_of=str(tmp_path / "nowhere"), out=tmp_path / "other", workers=0)
    assert not (tmp_path / "other").exists()


def test_classes_that_differ_by_case_are_kept_apart_where_that_was_asked_for(table, tmp_path):
    data = table(["Cat", "cat"] * 6)
    with pytest.raises(FindingsError, match="or keep them apart with --set class_names=as-written"):
        vitrail.fit(data, **TINY, out=tmp_path / "run", workers=0)
    vitrail.fit(data, **TINY, class_names="as-written", out=tmp_path / "run", workers=0)
    sections = json.loads((tmp_path / "run" / "report.json").read_text())["sections"]
    assert sections["model"]["figures"]["images"]["val"] == {"Cat": 1, "cat": 1}
    severities = {finding["code"]: finding["severity"] for finding in sections["findings"]["figures"]["findings"]}
    assert severities["class-spelling"] == "warning"
