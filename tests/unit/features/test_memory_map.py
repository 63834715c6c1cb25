import errno
import os

import numpy as np
import pytest
import torch

from vitrail.basics.errors import SystemFault
from vitrail.features.memory_map import FeatureMap

KEY = {"weights": "abc"}


def opened(folder, key=KEY):
    return FeatureMap.open(folder, key=key, rows=10, shape=(3,), batch_size=4)


def test_batches_that_were_written_are_there_when_opened_again(tmp_path):
    sink = opened(tmp_path)
    assert sink.missing == [0, 1, 2]
    sink.write(1, torch.full((4, 3), 7.0))
    sink.flush()
    again = opened(tmp_path)
    assert again.missing == [0, 2]
    np.testing.assert_array_equal(again.read()[4:8], 7)
    assert again.read().shape == (10, 3)


def test_a_batch_that_was_not_flushed_counts_as_missing(tmp_path):
    opened(tmp_path).write(1, torch.full((4, 3), 7.0))
    assert opened(tmp_path).missing == [0, 1, 2]


def test_another_key_starts_anew(tmp_path):
    sink = opened(tmp_path)
    sink.write(0, torch.ones(4, 3))
    sink.flush()
    assert opened(tmp_path).missing == [1, 2]
    assert opened(tmp_path, {"weights": "other"}).missing == [0, 1, 2]


def test_the_last_batch_may_be_smaller(tmp_path):
    sink = opened(tmp_path)
    sink.write(2, torch.full((2, 3), 5.0))
    np.testing.assert_array_equal(sink.read()[8:], 5)


def test_what_is_read_cannot_be_changed(tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        opened(tmp_path).read()[0] = 1


def test_a_full_disk_is_an_error_before_any_work_is_done(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    with pytest.raises(SystemFault, match="the disk is full"):
        opened(tmp_path / "map")
    monkeypatch.undo()
    assert opened(tmp_path / "map").missing == [0, 1, 2]


def test_inner_states_are_kept_in_half_the_space_with_eight_significant_bits(tmp_path):
    states = torch.randn(10, 5, 3, generator=torch.Generator().manual_seed(0))
    sink = FeatureMap.open(tmp_path, key=KEY, rows=10, shape=(5, 3), batch_size=4, storage="bfloat16")
    for batch in sink.missing:
        sink.write(batch, states[batch * 4 : batch * 4 + 4])
    assert (tmp_path / "features.bin").stat().st_size == 10 * 5 * 3 * 2
    assert torch.equal(sink.rows(np.array([7, 0, 7])), states.bfloat16()[[7, 0, 7]])


def filled(folder, storage="float32"):
    sink = FeatureMap.open(folder, key=KEY, rows=10, shape=(3,), batch_size=4, storage=storage)
    for batch in sink.missing:
        rows = torch.arange(30.0).reshape(10, 3)[batch * 4 : batch * 4 + 4]
        sink.write(batch, rows)
    sink.flush()
    return sink


@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_a_flipped_bit_anywhere_is_computed_again_and_counted(storage, tmp_path):
    filled(tmp_path, storage)
    expected = (tmp_path / "features.bin").read_bytes()
    for name in ("features.bin", "done.u8", "checks.u32", "key.json"):
        whole = (tmp_path / name).read_bytes()
        for place in range(len(whole)):
            (tmp_path / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
            sink = FeatureMap.open(tmp_path, key=KEY, rows=10, shape=(3,), batch_size=4, storage=storage)
            missing = sum(len(range(10)[batch * 4 : batch * 4 + 4]) for batch in sink.missing)
            assert missing == sink.damaged or name in ("done.u8", "key.json")
            assert missing in (2, 4) or name == "key.json"
            filled(tmp_path, storage)
            assert (tmp_path / "features.bin").read_bytes() == expected


@pytest.mark.parametrize("name", ["features.bin", "done.u8", "checks.u32", "key.json"])
def test_a_file_that_is_cut_or_missing_begins_the_map_anew(name, tmp_path):
    filled(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-2])
    again = opened(tmp_path)
    assert again.missing == [0, 1, 2] and again.dropped
    filled(tmp_path)
    (tmp_path / name).unlink()
    assert opened(tmp_path).missing == [0, 1, 2]
