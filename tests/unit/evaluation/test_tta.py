import dataclasses

import numpy as np
import pytest

from tests.unit.evaluation.test_robustness import subject  # noqa: F401 - a fixture
from vitrail.basics.events import WorkAdvanced
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.subject import NotJudged, Subject
from vitrail.evaluation.tta import TtaSettings, tta_section
from vitrail.prediction.answers import gathered_answers

FEW = {"tta_scales": (0.9, 1.1)}


@pytest.fixture(scope="module")
def section(subject):  # noqa: F811
    return tta_section(subject, TtaSettings(**FEW))


def test_answers_that_were_mended_and_broken_are_those_of_the_predictor(subject, section):  # noqa: F811
    judged, figures = subject.judged, section.as_json()["figures"]
    found = gathered_answers(subject.predictor.answers(judged.paths, workers=0, tta=TtaSettings(**FEW)))
    before, after = judged.predicted == judged.labels, found.logits.argmax(axis=1) == judged.labels
    assert figures["accuracy_before"]["value"] == pytest.approx(before.mean()) == pytest.approx(9 / 11)
    assert figures["accuracy_after"]["value"] == pytest.approx(after.mean())
    changed = figures["changed"]
    assert (changed["mended"], changed["broken"]) == (int((after & ~before).sum()), int((before & ~after).sum()))
    loss = -np.log(found.probabilities[np.arange(11), judged.labels]).mean()
    assert figures["log_loss_after"]["value"] == pytest.approx(loss, rel=1e-4)
    difference = figures["log_loss_before"]["value"] - figures["log_loss_after"]["value"]
    assert figures["log_loss_compared"]["difference"]["value"] == pytest.approx(difference)
    assert figures["views"] == 7 and figures["n"] == figures["of"] == 11


def test_the_image_as_it_is_alone_changes_nothing_and_that_is_no_evidence(subject):  # noqa: F811
    found = tta_section(subject, TtaSettings(tta_crops=False, tta_scales=()))
    changed = found.figures["changed"]
    assert (changed["mended"], changed["broken"], changed["p_value"]) == (0, 0, 1.0)
    assert [each.verdict for each in found.sentences[:2]] == ["not enough evidence"] * 2


def test_the_cost_is_told_and_progress_counts_images(subject):  # noqa: F811
    told = []
    found = tta_section(dataclasses.replace(subject, emit=told.append), TtaSettings(**FEW, tta_images=6))
    assert sum(each.by for each in told if isinstance(each, WorkAdvanced) and each.work == "tta") == 6
    assert found.figures["images_per_second_before"] > 0 < found.figures["times_as_slow"]
    texts = " ".join(each.text for each in found.sentences)
    assert "7 times the work" in texts and "6 of 11 validation images, evenly from every class" in texts
    assert "Nothing was mirrored" in texts


def test_the_page_shows_both_beside_each_other(section, tmp_path):
    write_report(Report("ants", "today", "vitrail evaluate", [section]), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "7 views" in page and "points" in page and "exact McNemar test" in page and "times as slow" in page


def test_answers_without_a_model_cannot_be_tried(subject):  # noqa: F811
    with pytest.raises(NotJudged, match="it needs the model"):
        tta_section(Subject(subject.judged), TtaSettings())
