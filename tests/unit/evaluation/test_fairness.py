import json

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.evaluation.realistic_report import image_rows
from vitrail.basics.errors import InputError
from vitrail.evaluation.attribute_groups import attribute_groups, usual_attributes
from vitrail.evaluation.fairness import FairnessSettings, fairness_section, usual_fairness
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.section import packaged_metrics
from vitrail.evaluation.subject import NotJudged, Subject


def judged_images(count=400, *, K=2, right=0.8, seed=0, patients=None, **columns) -> JudgedImages:
    """Random images and answers; `right` is one share, or one by image."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, K, count)
    predicted = np.where(random.random(count) < right, labels, (labels + 1) % K)
    probabilities = np.full((count, K), 0.3 / max(K - 1, 1))
    probabilities[np.arange(count), predicted] = 0.7
    probabilities += random.random((count, 1)) * 0.01
    classes = tuple(f"c{k}" for k in range(K))
    ids = [f"{position:06}" for position in range(count)]
    table = image_rows(ids, [f"{each}.png" for each in ids], [classes[label] for label in labels], **columns)
    return JudgedImages(table, probabilities / probabilities.sum(1, keepdims=True), classes, "test", patients)


def section(judged, **settings):
    return fairness_section(Subject(judged), FairnessSettings.parse(**settings))


SEX = ["female", "male"] * 200


def test_a_section_has_the_articles_fields_for_every_attribute_class_and_group():
    found = section(judged_images(K=3, sex=SEX), attributes="sex").figures["attributes"]["sex"]
    assert found["images"] == {"female": 200, "male": 200} and list(found["classes"]) == ["c0", "c1", "c2"]
    one = found["classes"]["c1"]
    assert one.keys() >= {"group_positive_rates", "demographic_parity_difference", "is_fair", "tpr", "fpr",
                          "equalized_odds_difference", "equal_opportunity_difference"}  # fmt: skip
    assert one["tpr"].keys() == {"female", "male"} and one["tpr"]["male"]["method"] == "Wilson"
    assert 0 < one["compared"]["tpr"]["expected_by_chance"] < one["compared"]["tpr"]["usual_limit_by_chance"]


def test_attributes_go_with_their_images_in_whatever_order():
    judged = judged_images(sex=SEX)
    order = np.random.default_rng(1).permutation(400)
    other = JudgedImages(judged.rows.take(pa.array(order)), judged.probabilities[order], judged.classes, "test")
    both = [section(each, attributes="sex").as_json() for each in (judged, other)]
    for each in both:
        for one in each["figures"]["attributes"].values():
            one["equal_thresholds"] = one["told"] = None  # folds are drawn by place
    assert both[0] == both[1]


def test_what_is_unfair_is_said_first_by_name_with_how_far_and_how_sure():
    right = np.tile([0.95, 0.5], 200)
    accuracy, classes, *_ = section(judged_images(right=right, sex=SEX)).sentences
    assert accuracy.verdict == classes.verdict == "unfair"
    assert accuracy.text.startswith("sex: right less often for “male” against “female”, ")
    assert "points apart (" in accuracy.text and "expected by chance alone)" in accuracy.text
    assert classes.text.startswith("sex: “c1” is recognised less often for “male” than for “female”, ")


def test_few_images_are_not_enough_evidence_and_many_alike_are_fair():
    few = section(judged_images(60, sex=SEX[:60])).sentences
    assert {each.verdict for each in few if each.verdict} == {"not enough evidence"}
    many = section(judged_images(20_000, sex=SEX * 50)).sentences
    assert {each.verdict for each in many if each.verdict} == {"fair"}


def test_images_without_a_value_are_counted_and_are_a_group_only_where_they_are_many():
    few = section(judged_images(sex=[None] * 30 + SEX[:370])).figures["attributes"]["sex"]
    assert few["images"]["missing"] == 30 and "missing" in few["accuracy"]["left_out"]
    assert few["told"][0] == "30 of 400 images have no sex: they are shown and not compared."
    many = section(judged_images(sex=[None] * 100 + SEX[:300])).figures["attributes"]["sex"]
    assert "missing" not in many["accuracy"]["left_out"] and many["accuracy"]["by_group"]["missing"]["n"] == 100


def test_a_group_of_three_and_a_class_that_never_occurs_in_a_group_are_named():
    judged = judged_images(K=3, site=["A"] * 200 + ["B"] * 197 + ["C"] * 3)
    found = section(judged).figures["attributes"]["site"]
    assert found["accuracy"]["left_out"] == {"C": "only 3 images, at least 20 needed"}
    assert found["accuracy"]["by_group"]["C"]["n"] == 3
    never = judged.where(~((judged.attribute("site") == "B") & (judged.labels == 2)))
    rate = section(never).figures["attributes"]["site"]["classes"]["c2"]
    assert rate["tpr"]["B"]["value"] is None and rate["tpr"]["B"]["undefined_because"] == "no images of 'c2'"
    assert (
        rate["equalized_odds_difference"]["value"] is None and rate["equalized_odds_verdict"] == "not enough evidence"
    )


def test_numbers_become_ranges_that_people_use():
    random = np.random.default_rng(0)
    ages = [None, *random.integers(16, 86, 398).tolist(), 99]
    groups = attribute_groups(judged_images(age=ages), "age", least_group=20)
    assert groups.names == ("under 20", "20–39", "40–59", "60–79", "80 and more", "missing")
    by_hand = np.searchsorted([20, 40, 60, 80], [age or 0 for age in ages[1:]], side="right")
    assert groups.numbers[1:].tolist() == by_hand.tolist() and groups.numbers[0] == 5
    assert groups.told[0].endswith("different numbers; they were put into 5 ranges.")
    dose = attribute_groups(judged_images(dose=random.random(400).tolist()), "dose", least_group=20)
    assert dose.names == ("under 0.2", "0.2 to under 0.4", "0.4 to under 0.6", "0.6 to under 0.8", "0.8 and more")
    few = attribute_groups(judged_images(grade=[1, 2, 3, 10] * 100), "grade", least_group=20)
    assert few.names == ("1", "2", "3", "10")
    skewed = attribute_groups(judged_images(cost=(random.pareto(0.5, 400) + 1).tolist()), "cost", least_group=20)
    assert len(skewed.names) == 4 and min(np.bincount(skewed.numbers)) >= 90


def test_numbers_of_any_size_become_ranges_without_a_warning():
    for factor in (1e-320, 1e-12, 1.0, 1e11, 1e300, 4e305):
        numbers = [factor * (number % 401 - 200) for number in range(400)]
        groups = attribute_groups(judged_images(size=numbers), "size", least_group=20)
        assert 2 <= len(groups.names) <= 6 and min(np.bincount(groups.numbers)) >= 20, factor
    with pytest.raises(NotJudged, match="size has numbers that 400 images cannot be divided by into groups of 300"):
        attribute_groups(judged_images(size=numbers), "size", least_group=300)


def test_ranges_with_too_few_join_a_neighbour():
    ages = [*range(20, 60)] * 9 + [5] * 20 + [85] * 20
    groups = attribute_groups(judged_images(age=ages), "age", least_group=25)
    assert groups.names == ("under 40", "40 and more") or min(np.bincount(groups.numbers)) >= 25


def test_two_attributes_are_crossed_and_any_crossing_can_be_asked_for():
    judged = judged_images(sex=SEX, site=["A", "A", "B", "B"] * 100)
    found = section(judged, attributes="sex,site").figures["attributes"]
    assert list(found) == ["sex", "site", "sex × site"]
    assert found["sex × site"]["images"] == {"female, A": 100, "female, B": 100, "male, A": 100, "male, B": 100}
    assert list(section(judged, attributes="sex*site").figures["attributes"]) == ["sex × site"]
    assert list(section(judged, attributes="sex,site", cross_attributes=False).figures["attributes"]) == ["sex", "site"]


def test_what_makes_no_groups_is_refused_with_its_reason_and_a_misspelled_name_with_the_right_one():
    judged = judged_images(sex=SEX, name=[f"n{k}" for k in range(400)], same=["x"] * 400, empty=[None] * 400)
    with pytest.raises(NotJudged, match="name has 400 different values: too many for groups, more like an identifier"):
        section(judged, attributes="name")
    reasons = section(judged, attributes="sex,same,empty").figures["not_judged"]
    assert reasons == {"same": "same is 'x' for all images: there is nothing to compare",
                       "empty": "empty is empty for all images"}  # fmt: skip
    with pytest.raises(InputError, match=r"no attribute 'sx'\nhint: did you mean sex"):
        section(judged, attributes="sx")
    with pytest.raises(InputError, match=r"fairness_class is 'c9', no class of the model"):
        section(judged, fairness_class="c9")
    with pytest.raises(NotJudged, match="the table has no attribute with 2 to 20 values"):
        section(judged_images())


def test_a_fit_looks_at_attributes_that_make_groups_and_at_no_identifier_or_copy_of_the_class():
    judged = judged_images(sex=SEX, name=[f"n{k}" for k in range(400)])
    again = judged.rows.append_column("target", pa.array([label == 1 for label in judged.labels.tolist()]))
    judged = JudgedImages(again, judged.probabilities, judged.classes, "test")
    assert usual_attributes(judged) == ["sex"]
    assert list(usual_fairness(judged).figures["attributes"]) == ["sex"]
    assert usual_fairness(judged_images()) is None


def test_nothing_of_single_attributes_goes_into_a_package():
    assert packaged_metrics([section(judged_images(sex=SEX))]) == {}


def test_images_of_a_patient_are_not_taken_for_independent():
    patients = np.repeat(np.arange(40), 10)
    right = np.repeat(np.random.default_rng(2).random(40) < 0.7, 10).astype(float)
    sex = np.repeat(["female", "male"], 200).tolist()
    alone, grouped = (
        section(judged_images(right=right, patients=each, sex=sex)).figures["attributes"]["sex"]
        for each in (None, patients)
    )
    assert grouped["patients"] == {"female": 20, "male": 20} and "whole patients dealt out" in grouped["method"]
    assert grouped["accuracy"]["expected_by_chance"] > 2 * alone["accuracy"]["expected_by_chance"]
    widths = [each["accuracy"]["difference"] for each in (alone, grouped)]
    assert widths[1]["high"] - widths[1]["low"] > 1.5 * (widths[0]["high"] - widths[0]["low"])


def test_for_two_classes_it_says_which_thresholds_would_make_groups_alike_and_at_what_cost():
    random = np.random.default_rng(0)
    labels, sex = random.integers(0, 2, 2000), np.tile(["female", "male"], 1000)
    # Men's scores are all a little lower: with one threshold they are recognised less often.
    score = 1 / (1 + np.exp(-(3 * (labels - 0.5) + random.normal(0, 1, 2000) - 1.5 * (sex == "male"))))
    table = image_rows([str(k) for k in range(2000)], ["x.png"] * 2000, [("no", "yes")[k] for k in labels],
                       sex=sex.tolist())  # fmt: skip
    judged = JudgedImages(table, np.stack([1 - score, score], 1), ("no", "yes"), "test")
    found = section(judged).figures["attributes"]["sex"]
    recognised, said = found["equal_thresholds"]
    assert recognised["target"] == "recognised" and said["target"] == "said"
    assert recognised["before"] > 0.15 and recognised["after"] < 0.06
    assert recognised["groups"] == ["female", "male"] or recognised["groups"] == ("female", "male")
    assert recognised["thresholds"][1] < recognised["thresholds"][0]
    assert recognised["accuracy_change"]["low"] is not None
    assert "The model would need sex whenever it is used, which may not be allowed." in found["told"][0]
    assert not section(judged_images(K=3, sex=SEX)).figures["attributes"]["sex"]["equal_thresholds"]


@pytest.mark.parametrize("K", [2, 7, 100])
def test_the_page_shows_every_class_and_group_whatever_their_number(tmp_path, K):
    judged = judged_images(1500, K=K, sex=["female", "<b>male"] * 750)
    page = write_report(Report("t", "now", "command", [section(judged)]), tmp_path).read_text()
    assert "Is it as good for every group?" in page and "&lt;b&gt;male" in page and "<b>male" not in page
    figures = json.loads((tmp_path / "report.json").read_text())["sections"]["fairness"]["figures"]
    assert len(figures["attributes"]["sex"]["classes"]) == (1 if K == 2 else K)
    assert ("The ten classes with the greatest differences" in page) == (K == 100)
    assert len(page) < 1_500_000
