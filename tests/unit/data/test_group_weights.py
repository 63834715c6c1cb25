import numpy as np
import pyarrow as pa
import pytest

from vitrail.basics.errors import InputError
from vitrail.data.group_weights import group_weights, weights_words


def rows(labels, sexes):
    return pa.table({"path": ["x"] * len(labels), "label": list(labels), "sex": pa.array(list(sexes), pa.string())})


def test_every_group_of_every_class_weighs_the_same_and_the_mean_is_one():
    labels, sexes = "aaaaaabbbb", "fmmmmmffmm"
    weights = group_weights(rows(labels, sexes), "sex")
    # By hand: 10 rows in 4 pairs of 1 (a, f), 5 (a, m), 2 (b, f) and 2 (b, m).
    assert weights.tolist() == [2.5, *[0.5] * 5, *[1.25] * 4]
    assert weights.mean() == pytest.approx(1)
    sums = {pair: sum(w for w, *own in zip(weights, labels, sexes, strict=True) if own == list(pair))
            for pair in ("af", "am", "bf", "bm")}  # fmt: skip
    assert set(sums.values()) == {2.5}


def test_a_pair_that_there_is_not_is_not_counted_and_missing_values_are_a_group():
    weights = group_weights(rows("aab", ["f", None, "f"]), "sex")
    assert np.allclose(weights, 1)
    assert np.allclose(group_weights(rows("aaab", "ffmf"), "sex"), [2 / 3, 2 / 3, 4 / 3, 4 / 3])


def test_what_is_no_attribute_or_makes_no_groups_is_refused():
    with pytest.raises(InputError, match="reweight_by is 'sax', no attribute of the images\nhint: did you mean sex"):
        group_weights(rows("ab", "fm"), "sax")
    with pytest.raises(InputError, match="reweight_by is 'label', no attribute"):
        group_weights(rows("ab", "fm"), "label")
    for values in (["f", "f"], [str(n) for n in range(51)]):
        with pytest.raises(InputError, match=f"sex has {len(set(values))} different values among the training images"):
            group_weights(rows("a" * len(values), values), "sex")


def test_it_is_said_by_how_much_single_images_count():
    assert weights_words(None, None) == []
    (words,) = weights_words(np.array([0.5, 2.5]), "sex")
    assert words.endswith("single images 0.5 to 2.5 times as much as on average.")
