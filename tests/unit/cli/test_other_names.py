import pytest

from tests.journeys.commands import vitrail as vitrail


@pytest.mark.parametrize(("typed", "meant"), [("train", "fit"), ("infer", "predict"), ("extract", "features")])
def test_what_other_programs_call_a_command_names_ours(typed, meant, vitrail):
    ended = vitrail(typed, "data")
    assert ended.code == 2
    assert ended.err.endswith(f"hint: vitrail {meant}\n")
    assert "hint:" not in vitrail("nonsense").err
