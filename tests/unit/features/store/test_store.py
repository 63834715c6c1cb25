"""The store by itself: rows of known numbers in, the same rows out, whatever happens in between."""

import contextlib
import dataclasses
import errno
import os
import random

import numpy as np
import pyarrow as pa
import pytest
import safetensors.numpy
import torch

from vitrail.basics.errors import DamagedError, InputError, SystemFault
from vitrail.data.identity import KnownImages, image_id
from vitrail.features.store import shards
from vitrail.features.store import writer as writing
from vitrail.features.store.manifest import UNFINISHED, Manifest, Output
from vitrail.features.store.reader import open_features
from vitrail.features.store.staging import STATE, Failure, Staging
from vitrail.features.store.updates import Changes
from vitrail.features.store.writer import Span, StoreWriter

OUTPUTS = (Output("norm", "norm", "mean", (4,)), Output("blocks.1", "blocks.1", "tokens", (3, 2), "float16"))
MADE = Manifest(OUTPUTS, "tiny", "ab" * 32, {"height": 8}, "float32", 4, 8, {}, ({"torch": "1"},))


def images(count, *, first=0):
    numbers = range(first, first + count)
    splits = ["train" if number % 3 else "val" for number in numbers]
    return pa.table(
        {"path": [f"/{number}.png" for number in numbers], "label": [str(n % 2) for n in numbers], "split": splits}
    )


def numbers_of(position):
    """What the made-up model says of image `position`."""
    return torch.arange(4.0) + position, (torch.arange(6.0) - position).reshape(3, 2)


def spans(start, end, *, size=4, broken=(), first=0):
    """Batches of images `start` to `end` of a list whose first image is number `first`."""
    waiting, failed = [], []
    for position in range(start, end):
        if position in broken:
            failed.append(Failure(position, "", f"/{first + position}.png: is broken"))
        else:
            waiting.append(position)
        if len(waiting) == size or position == end - 1:
            ids = tuple(image_id(b"%d" % (first + each)) for each in waiting)
            yield (
                Span(tuple(waiting), ids, tuple(failed), position + 1),
                [torch.stack(each) for each in zip(*(numbers_of(first + p) for p in waiting), strict=True)],
            )
            waiting, failed = [], []


def write(folder, count, *, first=0, stop=None, broken=(), made=MADE, overwrite=False):
    """A pass through `count` images; with `stop`, one that dies when so many were looked at. Returns its start."""
    with StoreWriter.open(folder) as writer:
        listed = writer.list_images(images(count, first=first))
        start = writer.begin(made, listed, overwrite=overwrite)
        for span, outputs in spans(start, count, broken=broken, first=first):
            if stop is not None and span.end > stop:
                return start
            writer.write(span, outputs)
            writer.commit()
        if stop is None:
            writer.finish()
    return start


def content(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_rows_come_back_as_they_were_written_whichever_way_they_are_read(tmp_path):
    write(tmp_path / "store", 21)
    store = open_features(tmp_path / "store")
    norm = np.stack([numbers_of(number)[0].numpy() for number in range(21)])
    tokens = np.stack([numbers_of(number)[1].numpy() for number in range(21)]).astype(np.float16)
    assert len(store) == 21
    assert store.columns == ["id", "path", "frame", "label", "split", "norm"]
    assert list(store.outputs) == ["norm", "blocks.1"]
    assert store.manifest.shards == (8, 8, 5)
    np.testing.assert_array_equal(store.numpy("norm"), norm)
    np.testing.assert_array_equal(store.numpy("blocks.1"), tokens)
    assert store.numpy("blocks.1").dtype == np.float16
    assert torch.equal(store.torch("norm"), torch.from_numpy(norm))
    assert store.paths == [f"/{number}.png" for number in range(21)]
    assert store.ids == [image_id(b"%d" % number) for number in range(21)]
    np.testing.assert_array_equal(np.stack(store.pandas()["norm"]), norm)
    assert store.arrow()["label"].to_pylist() == store.labels == [str(number % 2) for number in range(21)]
    batches = list(store.batches(3))
    assert max(map(len, batches)) == 3
    np.testing.assert_array_equal(np.concatenate([batch.features["norm"] for batch in batches]), norm)
    np.testing.assert_array_equal(np.concatenate([batch.features["blocks.1"] for batch in batches]), tokens)
    assert [path for batch in store for path in batch.rows["path"].to_pylist()] == store.paths
    # Others read it too.
    maps = safetensors.numpy.load_file(tmp_path / "store" / "shards" / "part-00001.safetensors")
    np.testing.assert_array_equal(maps["blocks.1"], tokens[8:16])


def test_one_split_is_shown_with_its_labels_and_vectors_aligned(tmp_path):
    write(tmp_path / "store", 21)
    val = open_features(tmp_path / "store").split("validation")
    wanted = list(range(0, 21, 3))
    assert len(val) == len(wanted)
    assert val.paths == [f"/{number}.png" for number in wanted]
    assert val.splits == ["val"] * len(wanted)
    for name, index in (("norm", 0), ("blocks.1", 1)):
        rows = np.stack([numbers_of(number)[index].numpy() for number in wanted])
        np.testing.assert_array_equal(val.numpy(name), rows)
        np.testing.assert_array_equal(np.concatenate([batch.features[name] for batch in val]), rows)
    assert val.arrow()["path"].to_pylist() == val.pandas()["path"].tolist() == val.paths


@pytest.mark.parametrize("stops", [(0,), (4,), (8,), (12, 12), (3, 8, 16, 20), (21,)])
def test_a_pass_that_died_anywhere_and_was_continued_leaves_the_same_bytes(tmp_path, stops):
    write(tmp_path / "calm", 21, broken=(2, 9, 20))
    starts = [write(tmp_path / "killed", 21, broken=(2, 9, 20), stop=stop) for stop in stops]
    last = write(tmp_path / "killed", 21, broken=(2, 9, 20))
    assert last <= stops[-1]
    assert starts == sorted(starts)
    assert content(tmp_path / "killed") == content(tmp_path / "calm")


def test_what_was_written_behind_the_last_commit_is_cut_off(tmp_path):
    write(tmp_path / "calm", 21)
    write(tmp_path / "torn", 21, stop=12)
    for name in ("output-0.bin", "ids.bin", "positions.bin", "output-1.bin", "failures.jsonl"):
        with open(tmp_path / "torn" / UNFINISHED / name, "ab") as file:
            file.write(b"half a ro")
    (tmp_path / "torn" / "shards" / ".part-00001.parquet.1.partial").write_bytes(b"half a shard")
    assert write(tmp_path / "torn", 21) == 12
    assert content(tmp_path / "torn") == content(tmp_path / "calm")


def test_a_process_that_dies_between_a_shard_and_its_commit_does_not_write_its_rows_twice(tmp_path, monkeypatch):
    write(tmp_path / "calm", 21)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Staging, "next_shard", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        write(tmp_path / "killed", 21)
    assert (tmp_path / "killed" / "shards" / "part-00000.parquet").exists()
    assert write(tmp_path / "killed", 21) == 8
    assert content(tmp_path / "killed") == content(tmp_path / "calm")


def test_committed_rows_that_are_gone_or_changed_are_computed_again_and_told_and_never_become_zeros(tmp_path):
    write(tmp_path / "calm", 21)
    for number, name in enumerate(("output-0.bin", "output-1.bin", "ids.bin", "positions.bin", STATE)):
        for damage in (lambda whole: whole[:8], lambda whole: whole[:-1] + bytes([whole[-1] ^ 1])):
            folder = tmp_path / f"store-{number}-{damage(b'123456789')[-1]}"
            write(folder, 21, stop=14)
            file = folder / UNFINISHED / name
            file.write_bytes(damage(file.read_bytes()))
            told = write_again(folder, 21)
            assert told or damage(b"12")[-1] != 50, (name, told)
            assert not told or str(file) in told[0], told
            assert rows_of(folder) == rows_of(tmp_path / "calm")


def write_again(folder, count):
    """A pass that looks again at what it does not know; gives what the writer tells."""
    with StoreWriter.open(folder) as writer:
        start = writer.begin(MADE, writer.list_images(images(count)), overwrite=False)
        known = KnownImages(writer.known)
        for position in range(start, count):
            if not known.ids((f"/{position}.png", 0)):
                norm, tokens = numbers_of(position)
                writer.write(
                    Span((position,), (image_id(b"%d" % position),), (), position + 1), [norm[None], tokens[None]]
                )
        writer.finish()
        return writer.recovered


def rows_of(folder):
    """Every row by its path, however it is ordered."""
    store = open_features(folder)
    values = zip(store.ids, store.numpy("norm").tolist(), store.numpy("blocks.1").tolist(), strict=True)
    return dict(sorted(zip(store.paths, values, strict=True)))


def test_a_flipped_bit_anywhere_in_a_store_is_an_error_or_computed_again(tmp_path):
    folder = tmp_path / "store"
    write(folder, 21, broken=(3,))
    (expected,), chance = [rows_of(folder)], random.Random(0)
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.stat().st_size)
    assert len(files) == 15
    for file in files:
        whole = file.read_bytes()
        for place in {0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(4))}:
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
            try:
                assert rows_of(folder) == expected, (file, place)
                assert open_features(folder).failures["reason"].to_pylist() == ["/3.png: is broken"]
            except InputError as error:
                assert error.hint
        file.write_bytes(whole)


@pytest.mark.parametrize("name", ["part-00001.parquet", "part-00001.safetensors", "part-00001.parquet.crc32"])
def test_a_damaged_shard_is_computed_again_told_and_kept_beside(name, tmp_path):
    folder = tmp_path / "store"
    write(folder, 21)
    expected, file = rows_of(folder), folder / "shards" / name
    whole = file.read_bytes()
    file.write_bytes(whole[:90] + bytes([whole[90] ^ 16]) + whole[91:])
    with pytest.raises(DamagedError, match="run the same vitrail features command again"):
        rows_of(folder)
    told = write_again(folder, 21)
    assert told == [
        "part-00001.parquet: its rows are computed again; what is left of it stays as part-00001.parquet.damaged"
    ]
    assert rows_of(folder) == expected
    assert (folder / "shards" / "part-00001.parquet.damaged").exists()
    assert write_again(folder, 21) == []


def test_a_store_that_is_replaced_is_kept_until_the_new_one_is_finished(tmp_path):
    folder = tmp_path / "store"
    write(folder, 21)
    expected, other = rows_of(folder), dataclasses.replace(MADE, weights_sha256="cd" * 32)
    write(folder, 9, stop=4, made=other, overwrite=True)
    assert rows_of(folder / ".replaced") == expected
    write(folder, 9, made=other)
    assert len(open_features(folder)) == 9 and not (folder / ".replaced").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files that the dead left open
def test_a_store_whose_replacement_was_killed_while_it_made_room_is_put_back(tmp_path, monkeypatch):
    other, moment, real = dataclasses.replace(MADE, weights_sha256="cd" * 32), 0, os.replace
    while True:
        moment += 1
        folder, calls = tmp_path / f"store-{moment}", iter(range(1, 999))
        write(folder, 9)
        expected = rows_of(folder)

        def dying(*arguments, calls=calls, moment=moment):
            if next(calls) >= moment:
                raise KeyboardInterrupt
            real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying)
            try:
                write(folder, 9, made=other, overwrite=True)
                break
            except KeyboardInterrupt:
                pass
        places = [folder, folder / ".replaced"]
        write_unless_other(folder)
        assert expected in [rows_of(place) for place in places if is_whole(place)]
        write(folder, 9, made=other, overwrite=True)
        assert len(open_features(folder)) == 9 and not (folder / ".replaced").exists()
    assert moment > 8


def write_unless_other(folder):
    """Another command, which is refused where rows were made in another way."""
    with contextlib.suppress(InputError):
        write_again(folder, 9)


def is_whole(folder):
    try:
        return len(open_features(folder)) == 9
    except InputError:
        return False


def test_shards_without_their_manifest_are_never_removed_unasked(tmp_path):
    folder = tmp_path / "store"
    write(folder, 21, stop=12)
    (folder / "manifest.json").unlink()
    before = sorted((folder / "shards").iterdir())
    with pytest.raises(InputError, match=r"shards stand there without their manifest.json"):
        write(folder, 21)
    assert sorted((folder / "shards").iterdir()) == before


def test_a_process_that_dies_right_behind_a_shard_keeps_its_rows(tmp_path):
    write(tmp_path / "calm", 21)
    with StoreWriter.open(tmp_path / "killed") as writer:
        writer.begin(MADE, writer.list_images(images(21)), overwrite=False)
        for span, outputs in spans(0, 8):
            writer.write(span, outputs)
    assert write(tmp_path / "killed", 21) == 8
    assert content(tmp_path / "killed") == content(tmp_path / "calm")


def test_copies_within_a_data_set_are_not_taken_for_known_when_its_pass_is_continued(tmp_path):
    write(tmp_path / "store", 21, stop=12)
    with StoreWriter.open(tmp_path / "store") as writer:
        assert writer.begin(MADE, writer.list_images(images(21)), overwrite=False) == 12
        assert len(KnownImages(writer.known)) == 0


def test_an_interrupted_pass_is_not_continued_in_another_way(tmp_path):
    other = dataclasses.replace(MADE, runtime="bfloat16")
    write(tmp_path / "store", 21, stop=12)
    assert write(tmp_path / "store", 21, made=other, overwrite=True) == 0
    write(tmp_path / "fresh", 21, made=other)
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


def test_new_rows_are_added_in_new_shards_and_the_old_ones_are_not_touched(tmp_path):
    write(tmp_path / "store", 10)
    before = content(tmp_path / "store" / "shards")
    with StoreWriter.open(tmp_path / "store") as writer:
        listed = writer.list_images(images(5, first=10))
        assert writer.begin(MADE, listed, overwrite=False) == 0
        known = KnownImages(writer.known)
        assert len(known) == 10
        assert known.ids(("/9.png", 0)) == [image_id(b"9")]
        assert known.ids(("/10.png", 0)) == []
    assert write(tmp_path / "store", 5, first=10) == 0
    after = content(tmp_path / "store" / "shards")
    assert {name: after[name] for name in before} == before
    store = open_features(tmp_path / "store")
    assert store.paths == [f"/{number}.png" for number in range(15)]
    assert store.manifest.shards == (8, 2, 5)


@pytest.mark.parametrize("dies_in", ["keep_in_maps", "rewrite_shard", "write_failures"])
def test_a_process_that_dies_while_it_replaces_rows_is_followed_by_one_that_finishes(tmp_path, monkeypatch, dies_in):
    def changed(folder):
        with StoreWriter.open(folder) as writer:
            start = writer.begin(MADE, writer.list_images(images(21)), overwrite=False)
            ids = tuple(image_id(b"new %d" % each) for each in (3, 17))
            rows = [torch.stack(each) for each in zip(numbers_of(103), numbers_of(117), strict=True)]
            if start == 0:
                writer.write(Span((3, 17), ids, (), 21), rows)
            writer.finish()
            return writer.changes

    write(tmp_path / "calm", 21)
    assert changed(tmp_path / "calm") == Changes(replaced=2)
    store = open_features(tmp_path / "calm")
    assert store.manifest.shards == (7, 8, 4, 2)
    numbers = [number for number in range(21) if number not in (3, 17)] + [103, 117]
    np.testing.assert_array_equal(store.numpy("norm"), np.stack([numbers_of(n)[0].numpy() for n in numbers]))
    np.testing.assert_array_equal(store.numpy("blocks.1"), np.stack([numbers_of(n)[1].half().numpy() for n in numbers]))
    assert len(set(store.paths)) == 21

    write(tmp_path / "killed", 21)
    place = writing if dies_in == "write_failures" else shards
    real = getattr(place, dies_in)

    def dies(*arguments):
        if dies_in == "keep_in_maps":
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(place, dies_in, dies)
        changed(tmp_path / "killed")
    if dies_in == "keep_in_maps":
        torn = open_features(tmp_path / "killed", unfinished=True)
        with pytest.raises(InputError) as refusal:
            torn.numpy("blocks.1")
        assert str(refusal.value) == (
            f"{tmp_path / 'killed' / 'shards' / 'part-00000.safetensors'} does not belong to the 8 rows of "
            "part-00000.parquet\n"
            "hint: a process died while it replaced rows: run the same vitrail features command again"
        )
    changed(tmp_path / "killed")
    assert content(tmp_path / "killed") == content(tmp_path / "calm")


def test_rows_are_dropped_from_every_group_of_a_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "GROUP_ROWS", 64)
    write(tmp_path / "store", 150, made=dataclasses.replace(MADE, rows_per_shard=200))
    kept = np.array([0, 63, 64, 70, 127, 149])
    shards.keep_in_shard(tmp_path / "store", 0, OUTPUTS, kept)
    groups = list(shards.shard_groups(tmp_path / "store", 0))
    assert [group["path"].to_pylist() for group in groups] == [
        ["/0.png", "/63.png"], ["/64.png", "/70.png", "/127.png"], ["/149.png"]
    ]  # fmt: skip
    vectors = np.concatenate([np.stack(group["norm"].to_numpy()) for group in groups])
    np.testing.assert_array_equal(vectors, np.stack([numbers_of(n)[0].numpy() for n in kept]))
    maps = safetensors.numpy.load_file(shards.maps_file(tmp_path / "store", 0))
    np.testing.assert_array_equal(maps["blocks.1"], np.stack([numbers_of(n)[1].half().numpy() for n in kept]))


def test_a_shard_whose_rows_are_all_replaced_stays_as_an_empty_one(tmp_path):
    write(tmp_path / "store", 8)
    with StoreWriter.open(tmp_path / "store") as writer:
        writer.begin(MADE, writer.list_images(images(8)), overwrite=False)
        ids = tuple(image_id(b"new %d" % each) for each in range(8))
        rows = [torch.stack(each) for each in zip(*(numbers_of(100 + n) for n in range(8)), strict=True)]
        writer.write(Span(tuple(range(8)), ids, (), 8), rows)
        writer.finish()
    store = open_features(tmp_path / "store")
    assert store.manifest.shards == (0, 8)
    assert store.paths == [f"/{number}.png" for number in range(8)]
    np.testing.assert_array_equal(store.numpy("norm"), rows[0].numpy())
    np.testing.assert_array_equal(store.numpy("blocks.1"), rows[1].half().numpy())


def test_an_image_that_is_listed_twice_may_keep_either_label(tmp_path):
    def listed(labels):
        return pa.table({"path": ["/0.png"] * len(labels), "label": labels})

    def changes(labels, folder):
        with StoreWriter.open(folder) as writer:
            start = writer.begin(MADE, writer.list_images(listed(labels)), overwrite=False)
            new = start == 0 and not len(KnownImages(writer.known))
            for span, outputs in spans(0, len(labels)) if new else ():
                span = dataclasses.replace(span, ids=(image_id(b"0"),) * len(span.ids))
                writer.write(span, outputs)
            writer.finish()
            return writer.changes

    assert changes(["a", "b"], tmp_path / "store") == Changes()
    assert changes(["a", "b"], tmp_path / "store") == Changes()
    assert changes(["c", "d"], tmp_path / "store") == Changes(relabelled=2)
    assert open_features(tmp_path / "store").labels == ["d", "d"]


def test_an_interrupted_pass_is_brought_to_an_end_when_other_images_come(tmp_path):
    write(tmp_path / "store", 21, stop=12, broken=(1,))
    assert write(tmp_path / "store", 3, first=30) == 0
    store = open_features(tmp_path / "store")
    assert store.paths == [f"/{number}.png" for number in (0, *range(2, 9), 30, 31, 32)]
    assert store.failures["path"].to_pylist() == ["/1.png"]


def test_failures_are_kept_until_their_images_are_read(tmp_path):
    write(tmp_path / "store", 6, broken=(1, 4))
    write(tmp_path / "store", 3, first=6, broken=(0,))
    failures = open_features(tmp_path / "store").failures.to_pylist()
    assert [each["path"] for each in failures] == ["/1.png", "/4.png", "/6.png"]
    assert failures[0] == {"path": "/1.png", "frame": 0, "id": None, "reason": "/1.png: is broken"}
    assert write(tmp_path / "store", 6, broken=(4,)) == 0
    store = open_features(tmp_path / "store")
    assert sorted(store.failures["path"].to_pylist()) == ["/4.png", "/6.png"]
    assert store.manifest.failures == 2


def test_rows_made_in_another_way_are_refused_with_the_difference(tmp_path):
    write(tmp_path / "store", 5)
    before = content(tmp_path / "store")
    smaller = dataclasses.replace(OUTPUTS[0], shape=(3,))
    other = dataclasses.replace(
        MADE, weights_sha256="cd" * 32, preprocessing={"height": 16}, runtime="bfloat16", outputs=(smaller,)
    )
    with pytest.raises(InputError) as refusal:
        write(tmp_path / "store", 5, made=other)
    assert str(refusal.value) == (
        f"{tmp_path / 'store'}: the feature store there was made in another way:\n"
        f"  - outputs.blocks.1: was {OUTPUTS[1].as_json()}, now None\n"
        "  - outputs.norm.shape: was [4], now [3]\n"
        "  - preprocessing.height: was 8, now 16\n"
        "  - runtime: was 'float32', now 'bfloat16'\n"
        f"  - weights_sha256: was '{'ab' * 32}', now '{'cd' * 32}'\n"
        "hint: repeat it with the same model and options, choose another --out, or replace it with --overwrite"
    )
    assert content(tmp_path / "store") == before


def test_a_store_is_replaced_when_that_is_asked_and_an_interrupted_replacement_is_continued(tmp_path):
    other = dataclasses.replace(MADE, runtime="bfloat16")
    write(tmp_path / "store", 21)
    write(tmp_path / "store", 9, made=other, overwrite=True, stop=4)
    assert write(tmp_path / "store", 9, made=other, overwrite=True) == 4
    write(tmp_path / "fresh", 9, made=other)
    assert content(tmp_path / "store") == content(tmp_path / "fresh")
    assert write(tmp_path / "store", 9, made=other, overwrite=True) == 0
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


def test_versions_of_all_that_wrote_rows_are_listed(tmp_path):
    write(tmp_path / "store", 3)
    write(tmp_path / "store", 3, first=3, made=dataclasses.replace(MADE, versions=({"torch": "2"},)))
    assert open_features(tmp_path / "store").manifest.versions == ({"torch": "1"}, {"torch": "2"})


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path):
    with StoreWriter.open(tmp_path / "store") as writer:
        listed = writer.list_images(images(3))
        writer.begin(MADE, listed, overwrite=False)
        with pytest.raises(InputError) as refusal:
            StoreWriter.open(tmp_path / "store")
        for span, outputs in spans(0, 3):
            writer.write(span, outputs)
        writer.finish()
    assert str(refusal.value) == (
        f"{tmp_path / 'store'}: another process is working on this feature store\n"
        "hint: wait for it, or choose another --out"
    )
    assert len(open_features(tmp_path / "store")) == 3


def test_a_full_disk_is_told_and_the_same_call_continues_later(tmp_path, monkeypatch):
    write(tmp_path / "calm", 21)
    left = [14]
    real = os.fsync

    def almost_full(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch, pytest.raises(SystemFault) as fault:
        patch.setattr(os, "fsync", almost_full)
        write(tmp_path / "full", 21)
    assert "the disk is full: " in str(fault.value)
    assert str(fault.value).endswith(
        "could not be written\nhint: free some space and run the same command again; what was finished is kept"
    )
    assert write(tmp_path / "full", 21) > 0
    assert content(tmp_path / "full") == content(tmp_path / "calm")


def test_numbers_too_large_for_float16_are_refused(tmp_path):
    with StoreWriter.open(tmp_path / "store") as writer:
        writer.begin(MADE, writer.list_images(images(1)), overwrite=False)
        span = Span((0,), (image_id(b"0"),), (), 1)
        with pytest.raises(InputError) as refusal:
            writer.write(span, [torch.ones(1, 4), torch.full((1, 3, 2), 1e5)])
    assert str(refusal.value) == "output 'blocks.1' holds 1e+05, float16 ends at 65504\nhint: use --dtype float32"


def test_rows_that_are_not_those_of_the_batch_are_never_kept(tmp_path):
    with StoreWriter.open(tmp_path / "store") as writer:
        writer.begin(MADE, writer.list_images(images(1)), overwrite=False)
        with pytest.raises(AssertionError):
            writer.write(Span((0,), (image_id(b"0"),), (), 1), [torch.ones(2, 4), torch.ones(1, 3, 2)])


def test_a_pass_that_is_refused_before_it_begins_leaves_nothing(tmp_path):
    with StoreWriter.open(tmp_path / "new"), pytest.raises(InputError):
        raise InputError("no such model")
    assert not (tmp_path / "new").exists()
    with StoreWriter.open(tmp_path / "listed") as writer:
        writer.list_images(images(3))
    assert not (tmp_path / "listed").exists()


def test_a_folder_that_is_no_store_is_never_touched(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    with pytest.raises(InputError) as refusal:
        StoreWriter.open(tmp_path / "photos")
    assert str(refusal.value) == (
        f"{tmp_path / 'photos'}: the folder exists, is not empty and is no feature store (a.png)\n"
        "hint: choose another --out; Vitrail never replaces what it did not make"
    )
    assert [entry.name for entry in (tmp_path / "photos").iterdir()] == ["a.png"]
    with pytest.raises(InputError) as refusal:
        StoreWriter.open(tmp_path / "photos" / "a.png")
    assert str(refusal.value) == (
        f"{tmp_path / 'photos' / 'a.png'}: a file stands where the store's folder should be\nhint: choose another --out"
    )


@pytest.mark.parametrize("names", [["unfinished/novel.txt"], ["shards/a"], ["manifest.json", "shards/a"]])
def test_a_folder_whose_names_only_look_like_a_stores_is_never_touched(tmp_path, names):
    for name in names:
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text("[1]")
    before = content(tmp_path / "mine")
    with pytest.raises(InputError, match="is not empty and is no feature store"):
        StoreWriter.open(tmp_path / "mine")
    assert content(tmp_path / "mine") == before


def test_a_store_of_a_newer_vitrail_is_not_written_to_and_said_to_be_one(tmp_path):
    write(tmp_path / "store", 3)
    manifest = tmp_path / "store" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 2', '"format_version": 3'))
    before = content(tmp_path / "store")
    with pytest.raises(InputError, match="written by a newer Vitrail"):
        StoreWriter.open(tmp_path / "store")
    assert content(tmp_path / "store") == before


def test_what_cannot_be_opened_says_why(tmp_path):
    with pytest.raises(InputError) as refusal:
        open_features(tmp_path)
    assert str(refusal.value) == (
        f"{tmp_path}: no feature store, a folder with manifest.json was expected\n"
        "hint: vitrail features MODEL DATA --out FOLDER writes one"
    )
    folder = tmp_path / "store"
    write(folder, 21, stop=12)
    with pytest.raises(InputError) as refusal:
        open_features(folder)
    assert str(refusal.value) == (
        f"{folder}: the pass that writes this store is not finished\n"
        "hint: run the same vitrail features command again, or open_features(..., unfinished=True) to see its part"
    )
    assert len(open_features(folder, unfinished=True)) == 8
    write(folder, 21)
    (folder / "shards" / "part-00001.parquet").unlink()
    with pytest.raises(InputError) as refusal:
        open_features(folder)
    assert str(refusal.value) == (
        f"{folder}: part-00001.parquet is missing, 3 shards were expected\n"
        "hint: copy the folder again, or make the store anew with --overwrite"
    )
    write(tmp_path / "torn", 21)
    (tmp_path / "torn" / "shards" / "part-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"torn: part-00002\.safetensors is missing, 3 shards were expected\nhint: "):
        open_features(tmp_path / "torn")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 2', '"format_version": 3'))
    with pytest.raises(InputError) as refusal:
        open_features(folder)
    assert str(refusal.value) == (
        f"{folder}: written by a newer Vitrail (store version 3, 2 is read here)\nhint: pip install --upgrade vitrail"
    )


def test_a_split_that_no_row_is_of_is_refused(tmp_path):
    write(tmp_path / "store", 3)
    with pytest.raises(InputError) as refusal:
        open_features(tmp_path / "store").split("test")
    assert str(refusal.value) == f"{tmp_path / 'store'}: no row is of split 'test'\nhint: its rows are of train, val"


def test_an_output_that_is_not_there_or_not_named_is_refused(tmp_path):
    write(tmp_path / "store", 3)
    store = open_features(tmp_path / "store")
    with pytest.raises(InputError) as refusal:
        store.numpy("nrom")
    assert str(refusal.value) == "there is no output 'nrom' in this store\nhint: did you mean norm?"
    with pytest.raises(InputError) as refusal:
        store.torch()
    assert str(refusal.value) == "several outputs are in this store\nhint: choose one of norm, blocks.1"


def test_commits_happen_by_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SECONDS_BETWEEN_COMMITS", 0.0)
    with StoreWriter.open(tmp_path / "store") as writer:
        writer.begin(MADE, writer.list_images(images(6)), overwrite=False)
        span, outputs = next(iter(spans(0, 6)))
        writer.write(span, outputs)
    assert write(tmp_path / "store", 6) == 4
