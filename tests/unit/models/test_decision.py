"""The part `decision`: how answers are made of probabilities."""

import numpy as np
import pytest

from vitrail.models.package_parts import PartContent
from vitrail.models.parts.decision import Decision

TWO = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6]])


def test_the_second_class_is_answered_from_the_threshold_on() -> None:
    assert Decision(("well", "ill"), threshold=0.3).predicted(TWO).tolist() == [0, 1, 1]
    assert Decision(("well", "ill"), threshold=0.61).predicted(TWO).tolist() == [0, 0, 0]
    assert Decision(("well", "ill")).predicted(TWO).tolist() == [0, 0, 1]


def test_an_answer_is_sure_when_the_answered_class_is_probable_enough() -> None:
    assert Decision(("well", "ill"), least_probability=0.7).sure(TWO).tolist() == [True, True, False]
    # At a threshold of 0.3 the answer to the second image is the less probable class.
    assert Decision(("well", "ill"), threshold=0.3, least_probability=0.6).sure(TWO).tolist() == [True, False, True]
    assert Decision(("well", "ill")).sure(TWO).all()


def test_a_set_holds_the_classes_that_are_probable_enough_and_always_the_first() -> None:
    decision = Decision(("a", "b", "c"), quantile=0.7, level=0.9)
    found = decision.members(np.array([[0.5, 0.3, 0.2], [0.29, 0.29, 0.42]]))
    assert found.tolist() == [[True, True, False], [False, False, True]]
    assert Decision(("a", "b"), quantile=1.0, level=0.9).members(TWO).all()


def test_it_says_what_it_does() -> None:
    decision = Decision(("well", "ill"), threshold=0.123456, least_probability=0.8, quantile=0.75, level=0.9)
    assert decision.words() == [
        "“ill” is answered from a probability of 0.1235 on",
        "an answer below a probability of 0.8 is “not sure”",
        "sets that hold the true class in 90% of cases: classes of 0.25 or more",
    ]
    surest = Decision(("well", "ill"), quantile=0.75, level=0.999)
    assert surest.words() == ["sets that hold the true class in 99.9% of cases: classes of 0.25 or more"]


def test_what_was_written_is_read_again() -> None:
    decision = Decision(("well", "ill"), threshold=0.2, quantile=1.0, level=0.9, chosen={"images": 12})
    assert Decision.from_content(decision.content(), version=1) == decision


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"threshold": 1.5}, "threshold is 1.5, a number from 0 to 1 was expected"),
        ({"threshold": "0.5"}, "threshold is 0.5, a number from 0 to 1 was expected"),
        ({"least_probability": True}, "least_probability is True, a number"),
        ({"classes": ["a", "b", "c"], "threshold": 0.5}, "a threshold is for two classes, there are 3"),
        ({"level": 0.9}, "quantile and level go together"),
        ({"classes": "ab"}, "names of classes were expected"),
        ({"classes": [1, 2]}, "names of classes were expected"),
        ({"chosen": [1]}, "what was chosen, by name, was expected"),
    ],
)
def test_what_makes_no_sense_is_refused(changed: dict[str, object], words: str) -> None:
    facts = dict(Decision(("well", "ill")).content().facts)
    with pytest.raises(ValueError, match=words):
        Decision.from_content(PartContent({**facts, **changed}), version=1)
