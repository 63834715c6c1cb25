import dataclasses

import pytest
import torch

from tests.unit.evaluation.test_robustness import subject  # noqa: F401 - a fixture
from vitrail.basics.errors import InputError
from vitrail.basics.events import WorkAdvanced, WorkStarted
from vitrail.evaluation.attention import AttentionSettings, attention_section
from vitrail.evaluation.report import Report, write_report
from vitrail.evaluation.subject import NotJudged, Subject

FEW = {"attention_shown": 2, "attention_random_maps": 2}


@pytest.fixture(scope="module")
def section(subject):  # noqa: F811
    return attention_section(subject, AttentionSettings(**FEW))


def test_right_and_wrong_answers_are_shown_with_their_maps(section, subject):  # noqa: F811
    images = section.as_json()["figures"]["images"]
    assert sorted(each["label"] == each["predicted"] for each in images) == [False, False, True, True]
    assert all("/" not in each["path"] for each in images)


def test_maps_are_judged_over_a_sample_against_chance_and_against_another_images_map(section):
    figures = section.as_json()["figures"]
    assert (figures["n"], figures["of"]) == (11, 11)
    if figures["judged_images"] >= 5:
        names = ["relevance_and_chance", "relevance_and_another_image", "rollout_and_chance"]
        assert list(figures["faithfulness"]) == names
        assert all(each["gap"]["n"] == figures["judged_images"] for each in figures["faithfulness"].values())
    assert any(sentence.verdict for sentence in section.sentences)


def test_no_single_image_is_packaged(section):
    assert "images" not in section.packaged


def test_the_page_shows_maps_and_distances(section, tmp_path):
    page = write_report(Report("t", "now", "c", [section]), tmp_path).read_text()
    assert page.count('<figure class="look">') == 4
    assert "How far attention reaches, by layer and head" in page


def test_a_smaller_sample_is_taken_where_it_is_asked_for(subject):  # noqa: F811
    events = []
    watched = dataclasses.replace(subject, emit=events.append)
    found = attention_section(watched, AttentionSettings(**FEW, attention_images=6))
    assert found.figures["n"] == 6
    assert events[0] == WorkStarted("attention", 6) and events.count(WorkAdvanced("attention")) == 6


def test_without_a_model_and_without_token_attention_nothing_is_judged_and_the_reason_is_told(subject):  # noqa: F811
    with pytest.raises(NotJudged, match="it needs the model"):
        attention_section(Subject(subject.judged), AttentionSettings())
    convolutional = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    predictor = subject.predictor
    known, predictor.model = predictor.model, convolutional
    try:
        with pytest.raises(NotJudged, match="Sequential has no attention between tokens"):
            attention_section(subject, AttentionSettings())
    finally:
        predictor.model = known


def test_a_layer_that_is_not_there_is_refused(subject):  # noqa: F811
    with pytest.raises(InputError, match="layer 99 was asked for"):
        attention_section(subject, AttentionSettings(attention_layer=99))
