import numpy as np
import pyarrow as pa

from tests.unit.evaluation.realistic_report import image_rows
from vitrail.data.split_images import SplitImages
from vitrail.evaluation.judging import judge_splits, quality_section
from vitrail.measures.classification import accuracy


def judged(leaked=("v0",)):
    """Twelve validation images of four patients, some of which are in training, too; the model is wrong on one."""
    ids, labels = [f"v{k}" for k in range(12)], ["cat", "dog"] * 6
    train = image_rows(["t0", "t1", *leaked], ["t.png"] * (2 + len(leaked)), ["cat", "dog", *["cat"] * len(leaked)],
                       "train")  # fmt: skip
    val = image_rows(ids, [f"{each}.png" for each in ids], labels, group=[f"p{k // 3}" for k in range(12)])
    table = pa.concat_tables([train, val], promote_options="permissive")
    table = table.append_column("near_duplicate_cluster", pa.nulls(table.num_rows, pa.int32()))
    logits = np.array([[2.0, 0.0], [0.0, 2.0]] * 6)
    logits[0] = [0.0, 2.0]
    answers, nearest = {"val": logits}, {"val": np.zeros(12, np.int64)}
    return judge_splits(answers, nearest, SplitImages(table, ["cat", "dog"], 0), seed=0)


def test_without_leaked_images_the_accuracy_is_that_of_the_others_with_intervals_from_their_groups():
    leak_free = judged().leak_free["val"]
    right, groups = np.ones(11, np.int64), np.array([0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    assert (leak_free.value, leak_free.n) == (1.0, 11) and judged().quality["val"].accuracy.value == 11 / 12
    assert leak_free.method == accuracy(right, right, groups=groups).method != accuracy(right, right).method


def test_where_nothing_leaks_nothing_is_said_of_leaks():
    assert judged(leaked=()).leak_free == {}
    assert quality_section(judged(leaked=())).figures["leak_free_accuracy"] is None
