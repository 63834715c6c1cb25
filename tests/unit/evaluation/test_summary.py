import html
import re
from pathlib import Path

import pytest

from tests.unit.evaluation.realistic_report import realistic_answers, realistic_report
from vitrail.evaluation.judging import Judged, quality_section
from vitrail.evaluation.quality import judge
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.section import Section
from vitrail.evaluation.summary import summary_section
from vitrail.measures.classification import accuracy
from vitrail.measures.intervals import wilson

CLASSES = ("akiec", "bcc", "df", "mel")


@pytest.fixture(scope="module")
def quality() -> Section:
    answers = realistic_answers(CLASSES, n=60, skill=2.0)
    few = answers.where([label != 2 or row < 12 for row, label in enumerate(answers.labels)])
    return quality_section(Judged(list(CLASSES), {"val": few}, {"val": judge(few, seed=0)}, {}, {}))


def fairness_figures(p_value: float = 0.3, **verdicts: str) -> Section:
    """By attribute: two groups, the second one worse by as many points as its name is long."""
    attributes = {}
    for name, verdict in verdicts.items():
        rates = {"m": wilson(90, 100, name="right"), "f": wilson(90 - len(name), 100, name="right")}
        attributes[name] = {
            "accuracy": {
                "by_group": {group: rate.as_json() for group, rate in rates.items()},
                "highest": "m", "lowest": "f", "verdict": verdict, "p_value": p_value,
                "difference": wilson(len(name), 100, name="difference").as_json(),
            }
        }  # fmt: skip
    return Section("fairness", 1, "Fair?", {"attributes": attributes})


def shown(section: Section, folder: Path) -> str:
    page = write_report(Report("t", "now", "command", [section]), folder).read_text()
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]*>", "", page.partition("<main")[2])))


def test_the_summary_says_how_often_it_is_right_in_whole_numbers(quality: Section, tmp_path: Path) -> None:
    section = summary_section({"quality": quality}, {}, CLASSES)
    right = section.figures["right"]
    measured = quality.figures["splits"]["val"]["accuracy"]
    assert right["accuracy"] == measured
    value, low, high = (round(100 * measured[name]) for name in ("value", "low", "high"))
    text = shown(section, tmp_path)
    assert f"{value} of 100 answers are right" in text
    assert f"between {low} and {high}, 19 times out of 20. Measured on {measured['n']} validation images." in text
    assert section.sentences[0].text == (
        f"Right on {value} of 100, between {low} and {high} (measured on {measured['n']} validation images)."
    )


def test_the_weakest_classes_are_those_tested_on_enough_images_and_the_others_are_named(
    quality: Section, tmp_path: Path
) -> None:
    section = summary_section({"quality": quality}, {}, CLASSES)
    judged = {each["name"]: each for each in quality.figures["splits"]["val"]["per_class"]}
    assert judged["df"]["support"] < 10
    enough = [name for name in CLASSES if name != "df"]
    ranked = sorted(enough, key=lambda name: judged[name]["recall"]["value"])
    assert [each["name"] for each in section.figures["weakest_classes"]] == ranked
    assert section.figures["weakest_classes"][0]["recall"] == judged[ranked[0]]["recall"]
    assert f"Hardly tested, on fewer than ten images: df ({judged['df']['support']})." in shown(section, tmp_path)


def test_the_weakest_group_is_of_an_unfair_attribute_before_one_that_lies_farther_apart_by_chance(
    quality: Section, tmp_path: Path
) -> None:
    judged = {"quality": quality, "fairness": fairness_figures(sex="unfair", hospital="not enough evidence")}
    section = summary_section(judged, {}, CLASSES)
    group = section.figures["weakest_group"]
    assert (group["attribute"], group["group"], group["accuracy"]["value"]) == ("sex", "f", 0.87)
    text = shown(section, tmp_path)
    assert "By sex: right on 87 of 100 for “f” (between 79 and 92; 100 images), 90 of 100 for “m”: unfair." in text
    judged["fairness"] = fairness_figures(sex="not enough evidence", hospital="not enough evidence")
    section = summary_section(judged, {}, CLASSES)
    assert section.figures["weakest_group"]["attribute"] == "hospital"
    assert "not enough evidence whether that is chance" in shown(section, tmp_path)
    judged["fairness"] = fairness_figures(p_value=0.01, hospital="not enough evidence")
    assert "for “m”: more than chance." in shown(summary_section(judged, {}, CLASSES), tmp_path)


def test_nothing_that_was_left_out_counts_as_tested(quality: Section, tmp_path: Path) -> None:
    missing = {"robustness": "it was not asked for", "fairness": "the table has no attribute", "tta": "no time"}
    section = summary_section({"quality": quality}, missing, CLASSES, commands=["vitrail evaluate P DATA"])
    told = [(each["evaluation"], each["why"]) for each in section.figures["not_tested"]]
    assert told[:-1] == [("robustness", missing["robustness"]), ("fairness", missing["fairness"])]
    text = shown(section, tmp_path)
    assert "Blurred, noisy, darkened or deliberately altered images" in text
    assert "sex, age, place, device (the table has no attribute)" in text
    assert "Images from elsewhere" in text
    assert "To test it: vitrail evaluate P DATA" in text


def test_without_quality_it_says_that_it_was_not_judged(tmp_path: Path) -> None:
    section = summary_section({}, {"quality": "it was not asked for"}, CLASSES)
    assert section.figures["right"] is None and section.figures["weakest_classes"] == []
    text = shown(section, tmp_path)
    assert "How often is it right? Not judged" in text
    assert section.sentences[0].text == "How often it is right was not judged."


@pytest.mark.parametrize(
    ("labels", "predicted", "words"),
    [
        ([0, 1, 1], [0, 1, 1], "100 of 100 answers are right; with other images of this kind between 44 and 100"),
        ([0] * 2000 + [1], [0] * 2001, "1,000 of 1,000"),
    ],
)
def test_only_what_is_always_right_is_called_so(labels, predicted, words, quality: Section, tmp_path: Path) -> None:
    import numpy as np

    measured = accuracy(np.array(labels), np.array(predicted), seed=0).as_json()
    split = {**quality.figures["splits"]["val"], "accuracy": measured}
    changed = Section("quality", 1, "q", {**quality.figures, "splits": {"val": split}})
    text = shown(summary_section({"quality": changed}, {}, CLASSES), tmp_path)
    assert (words in text) is (measured["value"] == 1)


def test_a_hint_at_the_task_comes_first_and_says_why(quality: Section, tmp_path: Path) -> None:
    section = summary_section({"quality": quality}, {}, CLASSES, ["sex"])
    first = section.figures["not_for"][0]
    assert (first["topic"], first["because"]) == ("A diagnosis without a doctor", "a class is called “akiec”")
    assert "Said here because a class is called “akiec”" in shown(section, tmp_path)


def test_the_summary_of_a_report_stands_first_and_before_any_scrolling_names_all_four(tmp_path: Path) -> None:
    page = write_report(realistic_report(), tmp_path).read_text()
    first = page.partition("<section")[2].partition("</section>")[0]
    headings = re.findall("<h3>(.*?)</h3>", first)
    assert headings == [
        "How often is it right?", "On whom is it weakest?", "What was it not tested on?",
        "What must it not be used for?",
    ]  # fmt: skip
