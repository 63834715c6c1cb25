import numpy as np
import pytest

from tests.unit.evaluation.realistic_report import image_rows
from vitrail.basics.errors import InputError, TrainingFault
from vitrail.evaluation.judged_images import JudgedImages

CLASSES = ("ant", "bee")
FINE = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])


def rows(labels=("ant", "bee", "bee"), ids=("a", "b", "c"), **others):
    return image_rows(list(ids), [f"{identity}.jpg" for identity in ids], list(labels), **others)


def joined(table, ids, logits):
    return JudgedImages.joined(table, ids, np.asarray(logits, np.float32), classes=CLASSES, measured_on="val")


def test_answers_are_joined_by_id_whatever_their_order():
    logits = {"a": [3, 0], "b": [0, 1], "c": [0, 2], "unasked": [9, 9]}
    order = ["c", "unasked", "a", "b"]
    judged = joined(rows(), order, [logits[name] for name in order])
    straight = joined(rows(), ["a", "b", "c"], [logits[name] for name in "abc"])
    assert np.array_equal(judged.probabilities, straight.probabilities)
    assert judged.predicted.tolist() == [0, 1, 1] and judged.labels.tolist() == [0, 1, 1]


def test_copies_of_an_image_keep_their_own_answers_and_may_share_one():
    table = rows(ids=("a", "b", "a"))
    assert joined(table, ["b", "a", "a"], [[0, 5], [1, 0], [2, 0]]).probabilities[:, 0].round(2).tolist() == [
        0.73, 0.01, 0.88,
    ]  # fmt: skip
    shared = joined(table, ["a", "b"], [[1, 0], [0, 5]]).probabilities
    assert np.array_equal(shared[0], shared[2])


def test_an_image_without_an_answer_is_named():
    with pytest.raises(InputError) as caught:
        joined(rows(), ["a", "c"], [[1, 0], [0, 1]])
    assert str(caught.value) == (
        "1 of 3 images were not answered about, first b.jpg\nhint: leave out the images that could not be read"
    )


def test_an_answer_that_is_no_number_is_named():
    with pytest.raises(TrainingFault, match=r"answer to 1 of 3 val images is not a number .*, first b\.jpg"):
        joined(rows(), ["a", "b", "c"], [[1, 0], [np.nan, 1], [0, 1]])


def test_some_of_the_images_keep_everything_that_belongs_to_them():
    table = rows(group=["p", "q", "p"], site=["A", None, "B"])
    judged = JudgedImages(
        table, FINE, CLASSES, "val", groups=np.array([0, 1, 0]), features=np.arange(6.0).reshape(3, 2)
    )  # fmt: skip
    part = judged.where([False, True, True])
    assert (part.ids, part.labels.tolist(), part.groups.tolist()) == (["b", "c"], [1, 1], [1, 0])
    assert part.attribute("site").tolist() == [None, "B"] and part.features.tolist() == [[2, 3], [4, 5]]
    assert judged.where(judged.attribute("site") == "B").paths == ["c.jpg"]
    with pytest.raises(InputError, match=r"mask of shape \(2,\) was given for 3 images"):
        judged.where([True, False])
    with pytest.raises(InputError, match="no predictions on 'val' to judge"):
        judged.where([False] * 3)
    with pytest.raises(InputError, match=r"no column 'sit'\nhint: did you mean site"):
        judged.attribute("sit")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"groups": np.array([0, 1])},
            "judged images need one entry per image in every field, got 3 rows, 3 probabilities, 2 groups",
        ),
        (
            {"rows": rows((), ()), "probabilities": np.zeros((0, 2))},
            "there are no predictions on 'val' to judge\n"
            "hint: check that the split has readable images: vitrail check DATA",
        ),
        ({"classes": ("ant", "bee", "fly")}, "probabilities have 2 columns, but there are 3 classes"),
        (
            {"rows": rows(("ant", "bea", "bee"))},
            "the label 'bea' is no class of the model, which knows ant, bee\nhint: did you mean bee?",
        ),
        (
            {"probabilities": np.array([[0.9, 0.1], [2.0, -1.0], [np.nan, 0.0]])},
            "2 of 3 rows are no probabilities; the first is that of b.jpg, with sum 1 and smallest value -1\n"
            "hint: apply softmax to the logits first",
        ),
    ],
)
def test_images_that_cannot_be_judged_are_refused(changes, text):
    fields = {"rows": rows(), "probabilities": FINE, "classes": CLASSES, "measured_on": "val"}
    with pytest.raises(InputError) as caught:
        JudgedImages(**{**fields, **changes})
    assert str(caught.value) == text
