import numpy as np
import pytest

from tests.unit.data.inspection.rows import inspected
from vitrail.data.inspection.duplicates import duplicate_findings
from vitrail.data.inspection.examine import FileFacts
from vitrail.data.inspection.findings import Finding
from vitrail.data.inspection.odd_files import odd_file_findings
from vitrail.data.inspection.pictures import pictures_of
from vitrail.data.inspection.structure import structure_findings
from vitrail.data.inspection.telltale import prediction_by, telltale_findings


def by_code(findings) -> dict[str, Finding]:
    found = list(findings)
    assert len({finding.code for finding in found}) == len(found)
    return {finding.code: finding for finding in found}


def test_a_clean_table_has_no_findings():
    label = ["cat", "dog"] * 40
    split = (["train"] * 60) + ["val"] * 20
    table = inspected(label, split=split, group=[f"patient {index // 2}" for index in range(80)])
    for findings in (structure_findings, telltale_findings, odd_file_findings):
        assert list(findings(table)) == []


def test_unreadable_images_are_named_with_their_fault():
    table = inspected(["cat", "cat", "dog", "dog"], fault=[None, "is empty (0 bytes)", None, None])
    finding = by_code(structure_findings(table))["unreadable"]
    assert (finding.severity, finding.title) == ("error", "1 image of 4 cannot be read")
    assert finding.details == ("/data/0001.jpg: is empty (0 bytes)",)


def test_a_class_of_unreadable_images_is_empty():
    table = inspected(["cat", "cat", "dog", "dog", "owl"], fault=[None, None, None, None, "broken"])
    finding = by_code(structure_findings(table))["empty-class"]
    assert (finding.severity, finding.title) == ("error", "1 class has no readable image: 'owl'")


def test_one_class_is_not_enough():
    finding = by_code(structure_findings(inspected(["cat"] * 3)))["one-class"]
    assert (finding.severity, finding.title) == (
        "error",
        "there is only one class, 'cat': nothing can be told apart",
    )


def test_a_class_with_a_single_image_is_a_warning():
    finding = by_code(structure_findings(inspected(["cat", "cat", "dog"])))["class-of-one"]
    assert (finding.severity, finding.title) == ("warning", "1 class has a single image: 'dog'")


@pytest.mark.parametrize("other", ["cat", " Cat ", "CAT", "Ｃat"])
def test_classes_that_differ_by_case_or_spaces_only_are_an_error(other):
    finding = by_code(structure_findings(inspected(["Cat", "Cat", other, other, "dog", "dog"])))["class-spelling"]
    assert finding.severity == "error"
    assert sorted(finding.details[0].split(" / ")) == sorted([f"{other!r} (2)", "'Cat' (2)"])


def test_capital_and_small_letters_as_classes_are_a_warning():
    finding = by_code(structure_findings(inspected(["A", "A", "a", "a", "b", "b"])))["class-letters"]
    assert (finding.severity, finding.details) == ("warning", ("'A' (2) / 'a' (2)",))


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("caf\u00e9", "cafe\u0301", "'cafe\\u0301' (2) / 'caf\\xe9' (2)"),
        ("cat", "cat\u200b", "'cat' (2) / 'cat\\u200b' (2)"),
        ("\u00c5", "\u212b", "'\\xc5' (2) / '\\u212b' (2)"),
    ],
)
def test_classes_that_look_the_same_are_shown_so_that_they_can_be_told_apart(one, other, shown):
    found = by_code(structure_findings(inspected([one, one, other, other, "x", "x"])))
    finding = found.get("class-spelling") or found["class-letters"]
    assert shown in finding.title
    assert "look the same (accents as one sign or as two" in finding.title


def test_many_different_numbers_as_labels_are_taken_for_measurements():
    finding = by_code(structure_findings(inspected([f"{n / 7:.2f}" for n in range(40)] * 2)))["labels-are-measurements"]
    assert finding.title.startswith("the labels are 40 different numbers from 0 to 5.57, with 2.0 images each")
    assert "pandas.qcut" in finding.hint
    assert "labels-are-measurements" not in by_code(structure_findings(inspected([str(n) for n in range(30)] * 20)))
    assert "labels-are-measurements" not in by_code(structure_findings(inspected(["1", "2", "10"] * 2)))


def test_a_class_of_one_group_is_a_warning_as_it_cannot_be_judged():
    table = inspected(["cat"] * 3 + ["dog"] * 3, group=["p", "p", "p", "q", "r", "s"])
    finding = by_code(structure_findings(table))["class-of-one-group"]
    assert (finding.severity, finding.details) == ("warning", ("cat: 3 images",))


def test_a_class_that_training_lacks_is_an_error_and_one_that_cannot_be_judged_a_warning():
    table = inspected(["cat", "cat", "dog", "dog", "cat", "owl", "owl"], split=["train"] * 4 + ["val", "val", "test"])
    found = by_code(structure_findings(table))
    assert found["class-missing-from-train"].severity == "error"
    assert found["class-missing-from-train"].details == ("'owl': 1 image in val", "'owl': 1 image in test")
    assert found["class-missing-from-split"].severity == "warning"
    assert found["class-missing-from-split"].details == (
        "'dog': none in val",
        "'cat': none in test",
        "'dog': none in test",
    )


def test_images_that_are_still_to_be_divided_may_reach_every_split():
    table = inspected(["cat", "cat", "dog", "dog"], split=[None, "val", None, None])
    assert by_code(structure_findings(table)) == {}
    table = inspected(["cat", "cat", "owl", "owl"], split=["train", "val", None, "val"])
    assert by_code(structure_findings(table)) == {}


def test_a_group_on_both_sides_of_a_split_is_an_error():
    table = inspected(
        ["cat", "dog"] * 3,
        split=["train", "train", "train", "val", "val", "val"],
        group=["ann", "ann", "bob", "ann", "cid", None],
    )
    finding = by_code(structure_findings(table))["group-across-splits"]
    assert (finding.severity, finding.title) == ("warning", "1 group is on both sides of a split, of 3: 'ann'")
    assert finding.details == ("ann: 2 in train, 1 in val",)


def test_a_mode_that_one_class_has_is_told_with_how_well_it_predicts():
    label = ["covid"] * 100 + ["healthy"] * 100
    table = inspected(label, mode=["RGBA"] * 50 + ["RGB"] * 150)
    finding = by_code(telltale_findings(table))["telltale-property"]
    assert finding.severity == "warning"
    assert finding.title == "the storage mode alone predicts the class: balanced accuracy 75.0%, chance 50.0%"
    assert finding.details == ("RGB: healthy 100, covid 50", "RGBA: covid 50")


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"format": ["PNG"] * 60 + ["JPEG"] * 60}, "file format"),
        ({"width": [100] * 60 + [90] * 60}, "image size"),
        ({"camera": ["Leica Q3"] * 60 + [""] * 60}, "camera"),
        ({"software": ["Paint"] * 60 + ["Darktable"] * 60}, "software"),
        ({"path": [f"/d/{i}.{'png' if i < 60 else 'jpg'}" for i in range(120)]}, "file extension"),
    ],
)
def test_every_property_is_looked_at(facts, name):
    finding = by_code(telltale_findings(inspected(["a"] * 60 + ["b"] * 60, **facts)))["telltale-property"]
    assert finding.title == f"the {name} alone predicts the class: balanced accuracy 100.0%, chance 50.0%"


def test_a_format_and_its_extension_are_told_once():
    table = inspected(
        ["a"] * 60 + ["b"] * 60,
        format=["PNG"] * 60 + ["JPEG"] * 60,
        path=[f"/d/{i}.{'png' if i < 60 else 'jpg'}" for i in range(120)],
    )
    assert "file format" in by_code(telltale_findings(table))["telltale-property"].title


def test_a_property_that_all_images_share_predicts_at_chance():
    prediction = prediction_by(["RGB"] * 30, ["a"] * 15 + ["b"] * 10 + ["c"] * 5)
    assert prediction.balanced_accuracy == pytest.approx(1 / 3)
    assert not prediction.telling


def test_a_size_of_its_own_for_every_image_predicts_at_chance():
    prediction = prediction_by([str(i) for i in range(200)], ["a"] * 100 + ["b"] * 100)
    assert prediction.balanced_accuracy == pytest.approx(0.5)
    assert not prediction.telling


def test_the_figure_is_that_of_leaving_each_image_out():
    """Against the rule applied once for every image that is left out."""
    generator = np.random.default_rng(0)
    labels = generator.choice(["a", "b", "c"], 90, p=[0.6, 0.3, 0.1]).tolist()
    values = [str(generator.integers(0, 3) + (label == "a")) for label in labels]
    credit: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for left_out, (value, label) in enumerate(zip(values, labels, strict=True)):
        others = [(v, x) for place, (v, x) in enumerate(zip(values, labels, strict=True)) if place != left_out]
        rates = {
            name: np.mean([v == value for v, x in others if x == name]) if any(x == name for _, x in others) else 0
            for name in credit
        }
        best = [name for name, rate in rates.items() if np.isclose(rate, max(rates.values()))]
        credit[label].append((label in best) / len(best))
    expected = np.mean([np.mean(one) for one in credit.values()])
    assert prediction_by(values, labels).balanced_accuracy == pytest.approx(expected)


def test_chance_alone_is_hardly_ever_reported():
    generator = np.random.default_rng(0)
    for _ in range(300):
        count, classes, values = generator.integers(30, 400), generator.integers(2, 8), generator.integers(2, 60)
        labels = [str(label) for label in generator.integers(0, classes, count)]
        if len(set(labels)) < classes:
            continue
        assert not prediction_by([str(value) for value in generator.integers(0, values, count)], labels).telling


def test_a_file_unlike_all_others_is_named():
    table = inspected(["a", "b"] * 100, format=["GIF"] + ["JPEG"] * 199, mode=["P"] + ["RGB"] * 199)
    finding = by_code(odd_file_findings(table))["odd-file"]
    assert (finding.severity, finding.title) == ("warning", "1 file is unlike the others, of which 199 are JPEG RGB")
    assert finding.details == ("/data/0000.jpg: GIF P",)


def test_a_grey_photograph_among_colour_ones_is_only_noted():
    table = inspected(["a", "b"] * 100, mode=["L"] + ["RGB"] * 199)
    assert by_code(odd_file_findings(table))["odd-file"].severity == "note"


def test_a_mixed_collection_has_no_odd_files():
    table = inspected(["a", "b"] * 100, format=["GIF"] + ["PNG"] * 99 + ["JPEG"] * 100)
    assert by_code(odd_file_findings(table)) == {}


def test_blank_pictures_are_named():
    finding = by_code(odd_file_findings(inspected(["a", "b"], dominant_share=[0.98, 1.0])))["blank"]
    assert (finding.severity, finding.details) == ("warning", ("/data/0001.jpg",))


def test_a_file_of_several_frames_is_noted_unless_its_frames_are_rows():
    finding = by_code(odd_file_findings(inspected(["a", "b"], frames=[1, 7])))["many-frames"]
    assert (finding.severity, finding.details) == ("note", ("/data/0001.jpg: 7 frames",))
    rows = inspected(["a", "b"], frames=[2, 2], path=["/data/a.tif", "/data/a.tif"])
    assert by_code(odd_file_findings(rows)) == {}


def test_attributes_that_have_names_of_ours_are_kept_under_others_that_are_all_different():
    from vitrail.data.columns import rows
    from vitrail.data.inspection.file_columns import FactColumns

    given = rows(path=["/a.png"], label=["a"], id=["1"], given_id=["2"])
    facts = FactColumns()
    facts.add(FileFacts("0" * 32))
    table = facts.beside(given)
    assert (table["given_id"].to_pylist(), table["given_id (2)"].to_pylist()) == (["1"], ["2"])


def test_pictures_that_show_nothing_are_an_error_where_nearly_all_are_like_that():
    finding = by_code(odd_file_findings(inspected(["a", "b"] * 10, dominant_share=[1.0] * 19 + [0.5])))["all-blank"]
    assert (finding.severity, finding.title[:31]) == ("error", "19 of 20 pictures show nothing:")
    few = by_code(odd_file_findings(inspected(["a", "b"] * 10, dominant_share=[1.0] * 18 + [0.5] * 2)))
    assert few["blank"].severity == "warning"


def test_one_picture_under_every_name_is_an_error():
    alike = pictures_of(inspected(["a", "b"] * 15, id=["ab" * 16] * 30))
    (finding,) = duplicate_findings(alike)
    assert (finding.severity, finding.title) == ("error", "all 30 pictures are the same file")


def test_a_class_name_that_no_package_takes_is_an_error_before_anything_is_trained():
    found = by_code(structure_findings(inspected(["a" * 1001] * 3 + ["b"] * 3)))["class-name-too-long"]
    assert (found.severity, found.title) == ("error", "1 class name is longer than 1,000 letters")
    assert len(found.details[0]) < 120
