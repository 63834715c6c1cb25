import json

import pytest

from vitrail.basics.errors import InputError
from vitrail.basics.events import Recovered
from vitrail.basics.finished_work import done_once
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.run_standing import refuse_run


def test_a_finished_run_of_a_study_with_a_flipped_bit_is_told_of_and_done_again(tmp_path):
    file, told = tmp_path / "seed-0.json", []
    found = done_once(file, lambda: {"accuracy": 0.75, "ids": ["a", "b"]})
    whole = file.read_bytes()
    assert done_once(file, lambda: pytest.fail("it is there")) == found
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert done_once(file, lambda: {"accuracy": 0.75, "ids": ["a", "b"]}, emit=told.append) == found
    assert len(told) > 0.7 * len(whole) and isinstance(told[0], Recovered)
    assert f"{file} is damaged" in told[0].text and "is done again" in told[0].text


def test_what_an_earlier_version_kept_without_a_checksum_is_read(tmp_path):
    (tmp_path / "seed-0.json").write_text(json.dumps({"accuracy": 0.5}))
    assert done_once(tmp_path / "seed-0.json", lambda: pytest.fail("it is there")) == {"accuracy": 0.5}


def test_a_study_does_not_write_its_report_over_that_of_a_run(tmp_path):
    with RunFolder.open(tmp_path / "ants", {}) as run:
        run.finish()
    with pytest.raises(InputError, match="a run stands there, whose report would be replaced\nhint: choose"):
        refuse_run(tmp_path / "ants")
    refuse_run(tmp_path)
