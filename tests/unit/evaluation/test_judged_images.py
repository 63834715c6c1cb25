import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.unit.evaluation.realistic_report import image_rows
from vitrail.basics.errors import InputError, TrainingFault
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.prediction.answers import Answers

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


def test_images_are_independent_where_the_table_knows_no_group_also_if_some_are_copies():
    assert joined(rows(ids=("a", "b", "a")), ["a", "b", "a"], [[1, 0]] * 3).groups is None


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
        table, FINE, CLASSES, "val", groups=np.array([0, 1, 2]), features=np.arange(6.0).reshape(3, 2)
    )  # fmt: skip
    part = judged.where([False, True, True])
    assert (part.ids, part.labels.tolist(), part.groups.tolist()) == (["b", "c"], [1, 1], [0, 1])
    assert part.attribute("site").tolist() == [None, "B"] and part.features.tolist() == [[2, 3], [4, 5]]
    assert judged.where(judged.attribute("site") == "B").paths == ["c.jpg"]
    with pytest.raises(InputError, match=r"mask of shape \(2,\) was given for 3 images"):
        judged.where([True, False])
    with pytest.raises(InputError, match="no predictions on 'val' to judge"):
        judged.where([False] * 3)
    with pytest.raises(InputError, match=r"no column 'sit'\nhint: did you mean site"):
        judged.attribute("sit")


KINDS = {
    "list": list,
    "iterator": iter,
    "numpy": np.array,
    "arrow": pa.array,
    "chunks": lambda mask: pa.chunked_array([mask[:1], mask[1:]], pa.bool_()),
    "pandas": pd.Series,
    "nullable": lambda mask: pd.Series(mask, dtype="boolean"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_may_be_of_any_kind_and_what_is_missing_is_not_taken(kind):
    judged = JudgedImages(rows(age=[30, None, 70]), FINE, CLASSES, "val")
    assert judged.where(KINDS[kind]([True, False, True])).ids == ["a", "c"]
    assert judged.where(KINDS[kind]([None, False, True])).ids == ["c"]
    assert judged.where(pc.greater(judged.rows["age"], 60)).ids == ["c"]


@pytest.mark.parametrize("numbers", [[0, 1, 2], ["x", "", "y"], [1.0, np.nan, 0.0], [True, 1, "x"]])
def test_row_numbers_and_words_are_no_mask(numbers):
    """Taken for true and false, `[0, 1, 2]` would leave out the first image and nobody would know."""
    with pytest.raises(InputError, match="a mask is one True or False per image, got"):
        JudgedImages(rows(), FINE, CLASSES, "val").where(numbers)


@pytest.mark.parametrize(
    ("table", "logits", "text"),
    [
        (rows(), np.zeros((2, 2)), r"one row of logits per id is needed, got 3 ids, logits \(2, 2\)"),
        (rows().drop_columns("id"), np.zeros((3, 2)), r"need an image table with a column 'id', got path, frame"),
    ],
)
def test_answers_that_do_not_fit_their_ids_are_refused(table, logits, text):
    with pytest.raises(InputError, match=text):
        joined(table, ["a", "b", "c"], logits)


def test_what_a_predictor_said_becomes_judged_images_and_what_it_could_not_read_stays_visible():
    nan = [np.nan, np.nan]
    answers = Answers(
        CLASSES, ("c", "", "other", "a", "d"), ("c.jpg", "b.jpg", "o.jpg", "a.jpg", "d.jpg"),
        np.array([[0, 2], nan, [1, 1], [3, 0], nan], np.float32), np.arange(10.0).reshape(5, 2),
        {1: "permission denied", 4: "truncated"},
    )  # fmt: skip
    table = rows(("ant", "bee", "bee", "ant"), ("a", "b", "c", "d"), site=["A", "B", "C", "D"])
    judged = JudgedImages.of_answers(table, answers, measured_on="new")
    assert (judged.ids, judged.predicted.tolist(), judged.features.tolist()) == (["a", "c"], [0, 1], [[6, 7], [0, 1]])
    assert judged.unread == {"b.jpg": "permission denied", "d.jpg": "truncated"}
    assert judged.attribute("site").tolist() == ["A", "C"]
    assert repr(judged) == "2 judged images (new) of 2 classes, 2 more could not be read"


def test_a_frame_that_could_not_be_read_takes_no_other_frame_of_its_file_with_it():
    answers = Answers(CLASSES, ("a", "a:1"), ("s.tif", "s.tif"), np.array([[0, 2], [np.nan] * 2]), np.zeros((2, 1)),
                      {1: "broken"})  # fmt: skip
    table = image_rows(["a", "a:1"], ["s.tif", "s.tif"], ["ant", "bee"])
    judged = JudgedImages.of_answers(table, answers, measured_on="new")
    assert judged.ids == ["a"] and len(judged.unread) == 1


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
