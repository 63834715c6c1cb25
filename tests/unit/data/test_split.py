import itertools
import os
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from vitrail.basics.errors import DamagedError, InputError
from vitrail.data.columns import rows
from vitrail.data.split import SplitSettings, split_rows
from vitrail.data.split_memory import SplitMemory, latest_run_of, write_split


def table(labels, *, splits=None, groups=None, start=0):
    count = len(labels)
    plain = rows(path=[f"/{i}" for i in range(count)], label=list(labels), split=splits, group=groups)
    return plain.append_column("id", pa.array([f"id{start + i}" for i in range(count)]))


def splits_of(split_table):
    return dict(zip(split_table["id"].to_pylist(), split_table["split"].to_pylist(), strict=True))


def shares(done):
    return Counter(zip(done["label"].to_pylist(), done["split"].to_pylist(), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_in_every_class_proportions_hold_within_one_image_whatever_the_seed(seed):
    counts = {"a": 100, "b": 100, "c": 37, "d": 8, "e": 4}
    labels = [label for label, count in counts.items() for _ in range(count)]
    settings = SplitSettings(validation_fraction=0.2, test_fraction=0.1)
    found = shares(split_rows(table(labels), settings, seed=seed))
    for label, count in counts.items():
        for split, share in (("val", 0.2), ("test", 0.1), ("train", 0.7)):
            assert abs(found[label, split] - share * count) <= 1, (label, split, found)
    assert (found["a", "val"], found["b", "val"]) == (20, 20)


def optimum(units, labels, share):
    """The least weighted square of what a class misses its share by, over all ways to divide the units."""
    names, total = sorted(set(units)), Counter(labels)
    of_unit = {
        name: Counter(label for unit, label in zip(units, labels, strict=True) if unit == name) for name in names
    }
    return min(
        missed(sum((of_unit[name] for name in chosen), Counter()), total, share)
        for size in range(1, len(names))
        for chosen in itertools.combinations(names, size)
        if all(any(of_unit[name][label] for name in names if name not in chosen) for label in total)
    )


def missed(held_out, total, share):
    return sum((held_out[label] - share * count) ** 2 / count for label, count in total.items())


@pytest.mark.parametrize("seed", range(12))
def test_with_uneven_groups_the_shares_are_as_near_as_the_best_of_all_ways_to_divide(seed):
    generator = np.random.default_rng(seed)
    sizes = generator.geometric(0.12, size=8)
    groups = [f"p{number}" for number, size in enumerate(sizes) for _ in range(size)]
    labels = generator.choice(["a", "b"], len(groups)).tolist()
    found = shares(split_rows(table(labels, groups=groups), SplitSettings()))
    held_out = Counter({label: found[label, "val"] for label in "ab"})
    assert missed(held_out, Counter(labels), 0.2) <= optimum(groups, labels, 0.2) + 0.25


def test_a_group_as_large_as_half_of_the_images_is_trained_on_and_small_ones_fill_validation():
    groups = ["big"] * 50 + ["mid"] * 30 + ["p"] * 10 + ["q"] * 5 + ["r"] * 5
    done = split_rows(table(["a"] * 100, groups=groups), SplitSettings())["split"].to_pylist()
    assert dict(zip(groups, done, strict=True)) == {"big": "train", "mid": "train", "p": "val", "q": "val", "r": "val"}


def test_a_group_of_several_classes_never_takes_a_class_out_of_training():
    for seed in range(10):
        groups = ["p"] * 3 + ["q"] * 30 + ["r"] * 30
        labels = ["rare"] * 2 + ["a"] + ["a", "b"] * 30
        found = shares(split_rows(table(labels, groups=groups), SplitSettings(), seed=seed))
        assert found["rare", "train"] == 2
        assert found["a", "val"]
        assert found["b", "val"]


def test_copies_of_one_image_stay_together_in_a_group_and_out_of_it():
    copied = table(["a"] * 60, groups=["p", None, "q"] + [None] * 57)
    ids = ["same"] * 3 + [f"id{n}" for n in range(57)]
    copied = copied.set_column(copied.column_names.index("id"), "id", pa.array(ids))
    for seed in range(20):
        assert len(set(split_rows(copied, SplitSettings(), seed=seed)["split"].to_pylist()[:3])) == 1


def test_added_images_move_few_old_ones_and_none_when_the_earlier_split_is_kept(tmp_path):
    old = split_rows(table(["a", "b"] * 200, groups=["p", "q"] + [None] * 398), SplitSettings())
    write_split(tmp_path, old, data="pets")
    before = SplitMemory.of(tmp_path)
    more = table(["a", "b"] * 250, groups=["p", "q"] + [None] * 398 + ["p"] * 4 + [None] * 96)
    assert 0 < sum(before.moved(split_rows(more, SplitSettings())).values()) < 40
    kept = split_rows(more, SplitSettings(), before=before)
    assert not before.moved(kept)
    found = shares(kept)
    assert abs(found["a", "val"] - 50) <= 1
    assert abs(found["b", "val"] - 50) <= 1
    of_group = set(kept["split"].to_pylist()[400:404]) | {kept["split"][0].as_py()}
    assert len(of_group) == 1, "new images of an old group go where it was"


def test_a_kept_split_stays_whatever_the_seed_and_the_fractions_say(tmp_path):
    old = split_rows(table(["a", "b"] * 50), SplitSettings())
    write_split(tmp_path, old, data="pets")
    other = SplitSettings(validation_fraction=0.4)
    again = split_rows(table(["a", "b"] * 50), other, seed=5, before=SplitMemory.of(tmp_path))
    assert splits_of(again) == splits_of(old)


def test_a_run_without_a_split_and_a_damaged_one_are_refused_in_words(tmp_path):
    with pytest.raises(InputError, match=r"the run keeps no splits.parquet\nhint: give the folder of a run that fit"):
        SplitMemory.of(tmp_path)
    with pytest.raises(InputError, match="nowhere: no run is there"):
        SplitMemory.of(tmp_path / "nowhere")
    (tmp_path / "splits.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(InputError, match=r"splits.parquet: damaged: "):
        SplitMemory.of(tmp_path)


def test_no_flipped_bit_of_a_kept_split_is_believed(tmp_path):
    done = split_rows(table(["a", "b"] * 10, groups=[f"g{n // 2}" for n in range(20)]), SplitSettings())
    run = tmp_path / "run"
    run.mkdir()
    write_split(run, done, data="pets")
    file, believed = run / "splits.parquet", SplitMemory.of(run)
    whole, refused = file.read_bytes(), 0
    positions = range(0, len(whole), 7)
    for position in positions:
        file.write_bytes(bytes([*whole[:position], whole[position] ^ 1 << position % 8, *whole[position + 1 :]]))
        assert latest_run_of("pets", beside=run) in (run, None)
        try:
            assert SplitMemory.of(run) == believed, position
        except DamagedError:
            refused += 1
    assert refused > len(positions) / 4


def test_the_last_run_of_a_data_set_is_found_in_the_folder_itself_or_beside_it(tmp_path):
    done = split_rows(table(["a"] * 10), SplitSettings())
    for number, (run, data) in enumerate((("one", "pets"), ("two", "pets"), ("three", "ants"))):
        (tmp_path / run).mkdir()
        write_split(tmp_path / run, done, data=data)
        os.utime(tmp_path / run / "splits.parquet", (number, number))
    assert latest_run_of("pets", beside=tmp_path / "new") == tmp_path / "two"
    assert latest_run_of("pets", beside=tmp_path / "one") == tmp_path / "one"
    (tmp_path / "four").mkdir()
    os.mkfifo(tmp_path / "four" / "splits.parquet")
    assert latest_run_of("bees", beside=tmp_path / "new") is None


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "b", "c"] * 1, [f"c{n}" for n in range(1000)]])
def test_where_nothing_can_be_held_out_that_is_said(labels):
    with pytest.raises(InputError, match="nothing can be held out for validation: no class has two images"):
        split_rows(table(labels), SplitSettings())
    with pytest.raises(InputError, match="nothing can be held out"):
        split_rows(table(["a", "b"] * 5, groups=["one"] * 10), SplitSettings())


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
