import pytest

from tests.unit.evaluation.realistic_report import realistic_answers
from vitrail.basics.errors import InputError, SettingsError
from vitrail.evaluation import evaluations as known
from vitrail.evaluation.evaluations import EvaluationSettings, Outcome, evaluated, scope_section
from vitrail.evaluation.section import Section, Sentence
from vitrail.evaluation.subject import NotJudged, Subject


def section(name):
    return lambda subject, settings: Section(name, 1, name, {}, [Sentence(f"{name} is fine", "better")])


@pytest.fixture
def three(monkeypatch):
    def cannot(subject, settings):
        raise NotJudged("the table has no attribute")

    kinds = {"first": section("first"), "second": cannot, "third": section("third")}
    monkeypatch.setattr(known, "EVALUATIONS", kinds)
    return kinds


def ran(*names):
    outcome, told = Outcome(), []
    subject = Subject(realistic_answers(["ant", "bee"], n=9), emit=told.append)
    evaluated(subject, EvaluationSettings.gather(evaluations=names), outcome)
    return outcome, told


def test_what_cannot_be_judged_stops_no_other_and_is_told_with_the_reason(three):
    outcome, told = ran("first", "second", "third")
    assert [each.name for each in outcome.sections] == ["first", "third"]
    assert outcome.not_judged == {"second": "the table has no attribute"}
    assert [each.text for each in told] == [
        "first    first is fine",
        "second   not judged: the table has no attribute",
        "third    third is fine",
    ]


def test_what_was_not_asked_for_is_never_shown_as_judged(three):
    outcome, _ = ran("third")
    assert scope_section(outcome, ["All images."]).figures == {
        "first": "not judged: it was not asked for",
        "second": "not judged: it was not asked for",
        "third": "judged",
    }


def test_whoever_is_stopped_finds_what_was_finished(three):
    def stopped(subject, settings):
        raise KeyboardInterrupt

    three["second"], outcome = stopped, Outcome()
    with pytest.raises(KeyboardInterrupt):
        subject = Subject(realistic_answers(["ant", "bee"], n=9))
        evaluated(subject, EvaluationSettings.gather(evaluations="first,second,third"), outcome)
    assert [each.name for each in outcome.sections] == ["first"]
    assert outcome.not_judged == dict.fromkeys(["second", "third"], "it was stopped before that")


def test_evaluations_are_named_in_any_order_and_a_misspelled_one_is_refused(three):
    assert EvaluationSettings.gather(evaluations=" third,first ").evaluations == ("first", "third")
    with pytest.raises(InputError) as refused:
        EvaluationSettings.gather(evaluations="frist")
    assert str(refused.value) == (
        "there is no evaluation 'frist'; known: first, second, third\nhint: did you mean first?"
    )
    with pytest.raises(InputError, match="no evaluation is named"):
        EvaluationSettings.gather(evaluations="")
    with pytest.raises(SettingsError, match="split"):
        EvaluationSettings.gather(split="tset")
