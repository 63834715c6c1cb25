import numpy as np
import pyarrow as pa
import pytest

from vitrail.basics.errors import InputError
from vitrail.data.columns import rows
from vitrail.data.split import SplitSettings, split_rows


def table(labels, *, splits=None, groups=None, start=0):
    count = len(labels)
    plain = rows(path=[f"/{i}" for i in range(count)], label=list(labels), split=splits, group=groups)
    return plain.append_column("id", pa.array([f"id{start + i}" for i in range(count)]))


def splits_of(split_table):
    return dict(zip(split_table["id"].to_pylist(), split_table["split"].to_pylist(), strict=True))


def test_adding_images_moves_no_old_image():
    before = splits_of(split_rows(table(["a", "b"] * 200), SplitSettings()))
    after = splits_of(split_rows(table(["a", "b"] * 400), SplitSettings()))
    assert all(after[identity] == split for identity, split in before.items())


def test_every_class_is_divided_near_its_fraction():
    done = split_rows(table(["a"] * 3000 + ["b"] * 600), SplitSettings(validation_fraction=0.2, test_fraction=0.1))
    for label, low, high in (("a", 0.17, 0.23), ("b", 0.15, 0.25)):
        mask = np.array(done["label"].to_pylist()) == label
        assert low < np.mean(np.array(done["split"].to_pylist())[mask] == "val") < high


def test_the_smallest_class_still_reaches_every_split():
    for seed in range(30):
        done = split_rows(table(["a"] * 50 + ["b"] * 2), SplitSettings(), seed=seed)
        assert sorted(done["split"].to_pylist()[50:]) == ["train", "val"]


def test_a_group_is_never_on_two_sides():
    groups = [f"p{i // 7}" for i in range(700)]
    done = split_rows(table(["a", "b"] * 350, groups=groups), SplitSettings())
    sides = {}
    for group, split in zip(groups, done["split"].to_pylist(), strict=True):
        sides.setdefault(group, set()).add(split)
    assert all(len(side) == 1 for side in sides.values())
    assert {split for side in sides.values() for split in side} == {"train", "val"}


def test_given_splits_stay_and_only_the_rest_is_drawn():
    given = ["train", "val", "test"] * 20 + [None] * 60
    done = split_rows(table(["a"] * 120, splits=given), SplitSettings())["split"].to_pylist()
    assert done[:60] == given[:60]
    assert None not in done


def test_without_validation_images_they_come_out_of_training_and_the_test_set_is_untouched():
    given = ["train"] * 200 + ["test"] * 50
    groups = ["shared"] + [None] * 199 + ["shared"] + [None] * 49
    done = split_rows(table(["a"] * 250, splits=given, groups=groups), SplitSettings())["split"].to_pylist()
    assert done[200:] == ["test"] * 50
    assert set(done[:200]) == {"train", "val"}
    assert done[0] == "train", "an image never joins the test set because its group is there"


def test_another_seed_gives_another_split():
    data = table(["a"] * 300)
    one, other = (split_rows(data, SplitSettings(), seed=seed)["split"].to_pylist() for seed in (0, 1))
    assert one != other


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(InputError, match="no image is marked for training; the splits are val"):
        split_rows(table(["a"] * 3, splits=["val"] * 3), SplitSettings())
    with pytest.raises(InputError, match="leave nothing to train on"):
        split_rows(table(["a"] * 3), SplitSettings(validation_fraction=0.7, test_fraction=0.3))
