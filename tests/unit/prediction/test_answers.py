import numpy as np
import pytest

from vitrail.basics.errors import InputError
from vitrail.prediction.answers import Answers, Prediction, Unreadable, gathered_answers

NAN = float("nan")


def answers(ids, *, faults=(), width=2) -> Answers:
    """Of images whose logits are 0 and the number of the row."""
    logits = np.array([[NAN, NAN] if row in faults else [0, row] for row in range(len(ids))], dtype=np.float32)
    features = np.full((len(ids), width), 0.5, dtype=np.float32)
    names = tuple(f"{identity}.png" for identity in ids)
    broken = {row: f"{names[row]}: broken" for row in faults}
    return Answers(("cat", "dog"), tuple(ids), names, logits, features, broken)


def test_a_row_is_a_prediction_or_says_why_there_is_none():
    said = Answers(
        ("cat", "dog"), ("a", "b"), ("a.png", "b.png"), np.array([[0, np.log(3)], [NAN, NAN]], dtype=np.float32),
        np.zeros((2, 5), dtype=np.float32), {1: "b.png: broken"},
    )  # fmt: skip
    assert said.probabilities[0] == pytest.approx([0.25, 0.75])
    assert said.probabilities.dtype == np.float64 and np.isnan(said.probabilities[1]).all()
    one, other = said
    assert (one.label, one.id, list(one.probabilities)) == ("dog", "a", ["cat", "dog"])
    assert one.as_json() == {
        "path": "a.png", "label": "dog", "probability": 0.75, "probabilities": {"cat": 0.25, "dog": 0.75}, "id": "a",
    }  # fmt: skip
    assert other == said[-1] == Unreadable("b.png", "b.png: broken", "b")
    with pytest.raises(IndexError):
        said[2]


def test_rows_are_found_by_id_in_the_order_that_is_asked_for():
    said = answers(["a", "b", "", "c", "b"], faults=(3,))
    asked = said.of(["c", "b", "c"])
    assert asked.names == ("c.png", "b.png", "c.png")
    assert asked.logits[1].tolist() == [0, 1], "the first of two"
    assert asked.faults == {0: "c.png: broken", 2: "c.png: broken"}
    with pytest.raises(InputError, match=r"^2 of 3 images have no answer, the first is 'x'\nhint: ids are"):
        said.of(["a", "x", ""])


def test_the_answers_of_a_stream_are_gathered_with_their_faults_in_place():
    whole = gathered_answers(iter([answers(["a", "b"], faults=(1,)), answers(["c"]), answers(["d", "e"], faults=(0,))]))
    assert whole.ids == ("a", "b", "c", "d", "e")
    assert repr(whole) == "answers about 5 images, 2 of which could not be read: 2 classes"
    assert list(whole.faults) == np.flatnonzero(np.isnan(whole.logits[:, 0])).tolist() == [1, 3]
    assert [isinstance(each, Prediction) for each in whole] == [True, False, True, False, True]
    with pytest.raises(InputError, match=r"^no answers were given"):
        gathered_answers([])
    with pytest.raises(InputError, match=r"^these answers are not of one model"):
        gathered_answers([answers(["a"]), answers(["b"], width=3)])
