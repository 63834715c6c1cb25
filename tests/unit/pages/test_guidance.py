import pytest

from vitrail.pages.guidance import (
    CAUTIONS,
    HEALTH,
    JUDGEMENTS,
    LOOKS,
    MACHINES,
    PERSONS,
    REAL_TIME,
    RIGHTS,
    cautions_for,
)


def test_the_four_uses_to_be_careful_about_are_named() -> None:
    text = " ".join(f"{caution.topic} {caution.why} {caution.instead}" for caution in CAUTIONS).lower()
    for word in ("deadline", "reasons", "persons", "same source", "high confidence"):
        assert word in text


@pytest.mark.parametrize(
    ("classes", "attributes", "first", "because"),
    [
        (["CT_COVID", "CT_NonCOVID"], [], HEALTH, "a class is called “CT_COVID”"),
        (["DiabeticRetinopathy", "normal"], [], HEALTH, "a class is called “DiabeticRetinopathy”"),
        (["tumours", "other"], [], HEALTH, "a class is called “tumours”"),
        (["Smiling", "not smiling"], [], LOOKS, "a class is called “Smiling”"),
        (["man", "woman"], [], LOOKS, "a class is called “man”"),
        (["genuine", "forged"], [], JUDGEMENTS, "a class is called “forged”"),
        (["pedestrian", "road"], [], MACHINES, "a class is called “pedestrian”"),
        (["1", "2"], ["lens", "sex"], RIGHTS, "a column is called “sex”"),
        (["1", "2"], ["diagnosis_confirmed"], HEALTH, "a column is called “diagnosis_confirmed”"),
        (["ants", "bees"], ["site"], CAUTIONS[0], None),
        (["mango", "romania", "agent"], ["page"], CAUTIONS[0], None),
    ],
)
def test_what_a_task_must_not_be_used_for_follows_from_words_in_its_names(classes, attributes, first, because) -> None:
    told = cautions_for(classes, attributes)
    assert (told[0].caution, told[0].because) == (first, because)


def test_whatever_the_task_every_kind_of_caution_is_told_once() -> None:
    for classes in (["ants", "bees"], ["melanoma", "man", "fraud", "truck"], ["woman"]):
        told = [each.caution for each in cautions_for(classes, ["age", "sex"])]
        assert len(told) == len(set(told))
        assert CAUTIONS[0] in told
        for kind in ({PERSONS, LOOKS}, {RIGHTS, HEALTH, JUDGEMENTS}, {REAL_TIME, MACHINES}):
            assert kind & set(told)
