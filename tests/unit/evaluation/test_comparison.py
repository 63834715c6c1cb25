import html
import json

import numpy as np
import pyarrow as pa
import pytest

import vitrail
from tests.unit.evaluation.test_fairness import SEX, judged_images
from vitrail.basics.errors import InputError
from vitrail.evaluation.answers_file import write_answers
from vitrail.evaluation.comparison import (
    Candidate,
    ComparisonSettings,
    common_classes,
    common_images,
    comparison_section,
)
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.measures.intervals import Measure
from vitrail.measures.replacement import changes, mcnemar, replacement


def answered(judged, right, *, classes=None, order=None):
    """The same images, answered rightly where `right` says so."""
    K = len(judged.classes)
    predicted = np.where(right, judged.labels, (judged.labels + 1) % K)
    probabilities = np.full((len(judged), K), 0.2 / (K - 1))
    probabilities[np.arange(len(judged)), predicted] = 0.8
    order = np.arange(len(judged)) if order is None else order
    groups = None if judged.groups is None else judged.groups[order]
    return JudgedImages(judged.rows.take(pa.array(order)), probabilities[order], judged.classes, "test", groups)


def section(a, b, **settings):
    return comparison_section(Candidate("A", a), Candidate("B", b), ComparisonSettings.parse(**settings))


def test_mcnemars_published_example_and_its_border_cases():
    found = mcnemar(25, 12)
    assert found.chi_square == pytest.approx(3.8919, abs=1e-4) and found.corrected_p_value == pytest.approx(
        0.0485, abs=1e-4
    )
    assert found.exact_p_value == pytest.approx(0.04703, abs=1e-4)
    assert mcnemar(0, 0).exact_p_value == mcnemar(3, 3).exact_p_value == 1.0


def test_images_are_joined_by_id_whatever_their_order():
    judged = judged_images(200)
    random = np.random.default_rng(0)
    before, after = random.random(200) < 0.8, random.random(200) < 0.9
    order = random.permutation(200)
    common = common_images(answered(judged, before), answered(judged, after, order=order))
    assert np.array_equal(common.before, before) and np.array_equal(common.after, after) and not common.told


def test_it_says_which_is_better_by_how_much_and_what_turns_wrong():
    judged = judged_images(400)
    before, after = np.arange(400) % 10 != 0, np.arange(400) % 50 != 1
    found = section(answered(judged, before), answered(judged, after))
    texts = [each.text for each in found.sentences]
    assert found.sentences[0].verdict == "better"
    assert texts[0].startswith(
        "B is right more often than A: 98.0 % against 90.0 %, +8.0 points (+4.7 to +11.5), p < 0.001"
    )
    assert texts[2] == "B may replace A: it loses less than 2 points of accuracy, if any"
    assert texts[3].startswith("8 answers turn wrong, 2.0 % (1.0–3.9, n = 400), and 40 turn right, ")
    wrong = found.figures["turned_wrong"]
    assert len(wrong) == 8 and {each["probability"] for each in wrong} == {0.8}
    assert all(each["predicted"] != each["label"] for each in wrong)
    back = section(answered(judged, after), answered(judged, before))
    assert [each.verdict for each in back.sentences[:3]] == ["worse"] * 3
    assert back.figures["tests"]["replacement"]["decision"] == "may not replace"


def test_who_loses_is_named_and_tests_account_for_their_number():
    judged = judged_images(400, K=3, sex=SEX)
    female = judged.attribute("sex") == "female"
    found = section(answered(judged, np.ones(400, bool)), answered(judged, ~(female & (np.arange(400) % 4 == 0))))
    losing = [each.text for each in found.sentences if each.text.startswith("B is right less often than A by ")]
    assert losing[-1].startswith("B is right less often than A by sex for “female” (")
    assert found.figures["parts"]["sex"]["tests"]["male"]["decision"] == "not enough evidence"


def test_few_images_are_not_enough_evidence_for_anything():
    judged = judged_images(20)
    verdicts = [
        each.verdict
        for each in section(answered(judged, np.arange(20) > 2), answered(judged, np.arange(20) > 1)).sentences
    ]
    assert verdicts[:3] == ["not enough evidence"] * 3


def test_images_of_one_patient_are_one_piece_of_evidence():
    patients = np.repeat(np.arange(8), 50)
    before, after = np.ones(400, bool), patients != 3
    alone, grouped = (changes(before, after, groups=each) for each in (None, patients))
    assert alone.p_value < 1e-10 and grouped.p_value == 1.0 and "groups" in grouped.method
    assert replacement(alone.difference) == "may not replace"
    assert replacement(grouped.difference) == "not enough evidence"


def test_classes_are_joined_by_name_and_what_only_one_knows_is_said():
    judged = judged_images(300, K=3)
    kept = judged.labels < 2
    few = answered(judged, np.ones(300, bool)).where(kept)
    b = JudgedImages(
        few.rows, few.probabilities[:, [1, 0]] / few.probabilities[:, :2].sum(1, keepdims=True), ("c1", "c0"), "t"
    )
    common = common_images(answered(judged, np.ones(300, bool)), b)
    assert common.after.all() and len(common.after) == kept.sum()
    assert common.told[0].startswith("Only A knows “c2”") and "images that both answered" in common.told[1]


def test_tables_that_have_nothing_in_common_or_disagree_on_the_truth_are_refused():
    judged = judged_images(20)
    ids = judged.rows.set_column(judged.rows.column_names.index("id"), "id", [[f"x{k}" for k in range(20)]])
    other = JudgedImages(ids, judged.probabilities, judged.classes, "t")
    with pytest.raises(InputError, match="none of the 20 images of A is one of the 20 of B"):
        common_images(judged, other)
    swapped = judged.rows.set_column(
        judged.rows.column_names.index("label"), "label", [[f"c{1 - k}" for k in judged.labels.tolist()]]
    )
    with pytest.raises(InputError, match="20 images have another label in either table, the first is '000000'"):
        common_images(judged, JudgedImages(swapped, judged.probabilities, judged.classes, "t"))


def test_tables_of_answers_are_compared_without_a_model_and_the_page_says_what_json_says(tmp_path):
    judged = judged_images(200)
    for name, right in (("a", np.arange(200) % 5 != 0), ("b", np.arange(200) % 20 != 0)):
        (tmp_path / name).mkdir()
        write_answers({"test": answered(judged, right)}, tmp_path / name)
    result = vitrail.compare(
        tmp_path / "a" / "answers.parquet", tmp_path / "b" / "answers.csv", out=tmp_path / "run", emit=vitrail.nobody
    )
    assert "B is right more often than A: 95.0 % against 80.0 %" in repr(result)
    told = json.loads((tmp_path / "run" / "report.json").read_text())["sections"]["comparison"]
    assert told == result.section.as_json()
    page = result.report.read_text()
    assert all(each["text"] in html.unescape(page) for each in told["sentences"])
    with pytest.raises(InputError, match="no images were given to compare the models on"):
        vitrail.compare(tmp_path / "a", tmp_path / "b", out=tmp_path / "other", emit=vitrail.nobody)


def test_a_table_of_attributes_beside_two_tables_of_answers_makes_groups(tmp_path):
    judged = judged_images(200)
    for name in "ab":
        (tmp_path / name).mkdir()
        write_answers({"test": answered(judged, np.arange(200) % 5 != 0)}, tmp_path / name)
    tables = [tmp_path / name / "answers.parquet" for name in "ab"]
    people = pa.table({"id": judged.ids, "sex": SEX[:200]})
    result = vitrail.compare(*tables, people, out=tmp_path / "run", attributes="sex", emit=vitrail.nobody)
    assert list(result.section.figures["parts"]["sex"]["tests"]) == ["female", "male"]
    with pytest.raises(InputError, match=r"nowhere\.csv: there is no such file"):
        vitrail.compare(*tables, tmp_path / "nowhere.csv", out=tmp_path / "other", emit=vitrail.nobody)


def test_who_was_trained_on_the_images_is_told():
    judged = judged_images(200)
    a, b = answered(judged, np.arange(200) % 5 != 0), answered(judged, np.arange(200) % 5 != 1)

    def told(*counts):
        models = [
            Candidate(name, each, trained_on=count) for name, each, count in zip("AB", (a, b), counts, strict=True)
        ]
        return " ".join(each.text for each in comparison_section(*models, ComparisonSettings.parse()).sentences)

    assert "A was trained on 0 of its 200 images here, B was trained on 120 of its 200 images here" in told(0, 120)
    assert "an unknown number of its 200 images" in told(None, 1)
    assert "trained on" not in told(0, 0) + told(None, None)


def test_models_without_a_common_class_are_not_compared():
    assert common_classes(["a", "b", "c"], ["c", "b"]) == ["b", "c"]
    with pytest.raises(InputError, match="A and B know no class in common: A knows 'a', B 'b', 'c'"):
        common_classes(["a"], ["b", "c"])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.01, 0.03, "may replace"), (-0.05, 0.01, "not enough evidence"), (-0.09, -0.03, "may not replace"),
     (None, None, "not enough evidence")],
)  # fmt: skip
def test_the_margin_decides_by_the_interval(low, high, verdict):
    assert replacement(Measure("x", 0.0, 100, low, high)) == verdict
