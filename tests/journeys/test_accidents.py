"""Flipped bits and kills, a few of those that `tools.flip_bits` and `tools.kill_at_renames` try by the hundred."""

import shutil

import pytest

from tools.flip_bits import flips
from tools.kill_at_renames import kills


@pytest.mark.slow
def test_a_flipped_bit_gives_the_same_answers_or_an_error_with_a_hint():
    found = flips(8, seed=1)
    assert [each for each in found if each[2] not in ("same", "refused")] == []
    assert {kind for kind, _, _ in found} == {"store", "continued store", "finished", "interrupted"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which kills at a system call, is not installed")
def test_a_fit_that_is_killed_while_it_replaces_a_run_loses_nothing():
    assert kills(1, first=14) == []
