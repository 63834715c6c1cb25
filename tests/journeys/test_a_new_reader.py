"""A stranger's file format, from the folder to the prediction, without a change to Vitrail."""

from dataclasses import dataclass

import numpy as np
import pytest

import vitrail as library
from vitrail.data.readers import Header, StoredPicture, Wanted, register_reader
from vitrail.data.readers.known import forget_reader

SIDE, MARK = 40, b"TWELVE BITS, TWICE"


@dataclass(frozen=True)
class Twelve:
    """`MARK`, a patient of 4 letters, then two frames of 40 × 40 numbers of 12 bits."""

    extensions = frozenset({".twelve"})

    def begins_like(self, beginning: bytes) -> bool:
        return beginning.startswith(MARK)

    def header(self, file) -> Header:
        patient = file.read(len(MARK) + 4)[-4:].decode()
        return Header(SIDE, SIDE, 2, frames_are_images=True, format="TWELVE", bits=12, columns={"group": patient})

    def picture(self, file, frame: int, wanted: Wanted) -> StoredPicture:
        file.seek(len(MARK) + 4 + 2 * SIDE**2 * frame)
        values = np.frombuffer(file.read(2 * SIDE**2), "<u2").reshape(SIDE, SIDE)
        return StoredPicture(values, value_range=(0, 4095))


@pytest.fixture
def twelve(tmp_path):
    for number in range(48):
        dice, label = np.random.default_rng(number), "dark" if number % 2 else "bright"
        frames = dice.integers(0, 300, (2, SIDE, SIDE)) + (600 if label == "dark" else 3000)
        (tmp_path / label).mkdir(exist_ok=True)
        content = MARK + f"p{number // 4:03d}".encode() + frames.astype("<u2").tobytes()
        (tmp_path / label / f"{number:02d}.twelve").write_bytes(content)
    register_reader(Twelve())
    yield tmp_path
    forget_reader(Twelve())


def test_a_made_up_format_of_12_bits_and_two_frames_goes_through_check_fit_and_predict(twelve):
    checked = library.check(twelve, workers=2)  # processes that know nothing of this module's reader
    assert checked.summary["modes"] == {"12 bits": 96} and not checked.errors
    assert set(checked.table["frame"].to_pylist()) == {0, 1} and checked.summary["groups"] == 12
    assert 3000 < checked.summary["tone"]["greatest"] < 3301
    run = library.fit(twelve, out=twelve.parent / "run", model="starter", preset="quick", workers=2, seed=1)
    predictor = library.load(run.package)
    assert predictor.preprocessing.tone.white > 3000 and predictor.preprocessing.tone.is_measured
    answers = predictor.predict(twelve / "dark")
    assert [answer.path[-9:-7] for answer in answers[:2]] == ["01", "01"] and len(answers) == 48
    assert {answer.label for answer in answers} == {"dark"}
