import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import vitrail
from tests.unit.evaluation.realistic_report import realistic_answers
from vitrail.basics.errors import InputError
from vitrail.evaluation.deciding import DecisionResult, DecisionSettings, chosen_decision, figures_of_decision
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.quality import judge
from vitrail.models.parts.decision import Decision


def validation(classes: str = "ab", n: int = 200) -> JudgedImages:
    return realistic_answers(list(classes), n=n, skill=1.0)


def chosen(judged: JudgedImages, **settings: object) -> Decision:
    return chosen_decision(judged, DecisionSettings.parse(**settings))


def test_the_decision_keeps_its_promise_on_the_images_it_was_chosen_on() -> None:
    judged = validation()
    for name in ("sensitivity", "specificity"):
        figures = figures_of_decision(judged, chosen(judged, **{name: 0.95}))
        assert getattr(figures.point, name).value >= 0.95
    covered = figures_of_decision(judged, chosen(judged, coverage=0.9)).decided.covered
    assert covered.value >= 0.9
    sure = figures_of_decision(judged, chosen(judged, least_probability=0.8)).decided
    assert sure.answered.value == pytest.approx((judged.probabilities.max(axis=1) >= 0.8).mean())
    assert sure.accuracy.value > judge(judged, seed=0).accuracy.value


def test_dearer_misses_lower_the_threshold_and_rarer_ones_raise_it() -> None:
    judged = validation()
    plain, dear = chosen(judged, costs="1,1"), chosen(judged, costs="10,1")
    rare = chosen(judged, prevalence=0.1)
    assert dear.threshold < plain.threshold < rare.threshold
    assert chosen(judged, costs=(10.0, 1.0)) == dear
    assert dear.chosen == {"asked": {"costs": [10, 1]}, "split": "val", "images": 200, "groups": None}


def test_quality_obeys_the_decision_and_says_what_it_gives() -> None:
    judged = validation()
    decided = dataclasses.replace(
        judged, decision=chosen(judged, sensitivity=0.95, least_probability=0.6, coverage=0.9)
    )
    quality = judge(decided, seed=0)
    second = quality.per_class[1]
    assert second.recall.value == quality.operating_point.sensitivity.value >= 0.95
    assert quality.confusion[1, 1] == second.recall.value * second.support
    assert quality.decided.answered.value < 1 and quality.decided.covered.value >= 0.9
    assert quality.auc == judge(judged, seed=0).auc
    assert json.loads(json.dumps(quality.as_json()))["decided"]["words"] == decided.decision.words()
    assert judged.where(np.arange(200) < 100).decision is None
    assert decided.where(np.arange(200) < 100).decision == decided.decision


def test_without_a_decision_figures_are_those_of_the_most_probable_class() -> None:
    quality = judge(validation(), seed=0)
    assert quality.decided is None and quality.operating_point.threshold == 0.5
    assert quality.operating_point.sensitivity.value == quality.per_class[1].recall.value
    many = judge(validation("abc"), seed=0)
    assert (many.operating_point, many.roc, many.other_thresholds) == (None, (), ())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "nothing was asked for"),
        ({"sensitivity": 0.9, "costs": "10,1"}, "sensitivity and costs ask for different thresholds"),
        ({"costs": "a,b"}, "costs are 'a,b', two numbers were expected"),
    ],
)
def test_what_cannot_be_decided_is_refused_with_a_hint(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        chosen(validation(), **settings)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("settings", "never"), [({"costs": "1e9,1"}, "a"), ({"sensitivity": 1.0}, "a"), ({"prevalence": 1e-9}, "b")]
)
def test_a_decision_that_would_never_answer_one_class_is_refused(settings: dict[str, object], never: str) -> None:
    judged = validation()
    answers, order = judged.probabilities.copy(), judged.probabilities[:, 1].argsort()
    second, first = np.flatnonzero(judged.labels == 1)[0], np.flatnonzero(judged.labels == 0)[0]
    answers[[second, order[0]]] = answers[[order[0], second]]  # the least likely of all is of the second class,
    answers[[first, order[-1]]] = answers[[order[-1], first]]  # the likeliest is not
    with pytest.raises(InputError, match=f"“{never}” would never be answered on these 200 images") as caught:
        chosen(dataclasses.replace(judged, probabilities=answers), **settings)
    assert caught.value.hint


def test_a_threshold_needs_two_classes_that_occur() -> None:
    with pytest.raises(InputError, match="this model knows 3"):
        chosen(validation("abc"), sensitivity=0.9)
    assert chosen(validation("abc"), coverage=0.9).level == 0.9
    alone = validation().where(validation().labels == 0)
    with pytest.raises(InputError, match="there is no positive image"):
        chosen(alone, sensitivity=0.9)


def test_too_few_images_leave_no_class_out_of_the_sets_and_the_result_says_so() -> None:
    decision = chosen(validation(n=8), coverage=0.9)
    assert decision.quantile == 1
    result = DecisionResult(Path("new"), decision, {"val": figures_of_decision(validation(n=8), decision)})
    assert "any probability: too few images" in repr(result)
    assert "on 8 validation images; chosen on them, so new images may fare worse" in repr(result)
    assert "no test images" in repr(result)


def test_a_run_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(vitrail.basics.errors.PackageError, match=r"no such package folder|is a run|not a package"):
        vitrail.decide(tmp_path / "nothing", out=tmp_path / "new", sensitivity=0.9)
