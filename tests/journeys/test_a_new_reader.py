"""A stranger's file format, from the folder to the prediction, without a change to Vitrail."""

import numpy as np

import vitrail as library
from vitrail.data.readers import Header, StoredPicture, register_reader
from vitrail.data.readers.known import forget_reader

MARK, SIDE = b"TWELVE BITS TWICE", 40


class Twelve:
    """A mark, a patient of 4 letters, and two frames of 40 × 40 numbers of 12 bits."""

    extensions = frozenset({".twelve"})

    def begins_like(self, beginning):
        return beginning.startswith(MARK)

    def header(self, file):
        patient = file.read(len(MARK) + 4)[-4:].decode()
        return Header(SIDE, SIDE, 2, frames_are_images=True, format="TWELVE", bits=12, columns={"group": patient})

    def picture(self, file, frame, wanted):
        file.seek(len(MARK) + 4 + 2 * SIDE**2 * frame)
        return StoredPicture(np.frombuffer(file.read(2 * SIDE**2), "<u2").reshape(SIDE, SIDE), value_range=(0, 4095))


def test_a_made_up_format_of_12_bits_and_two_frames_goes_through_check_fit_and_predict(tmp_path, request):
    register_reader(reader := Twelve())
    request.addfinalizer(lambda: forget_reader(reader))
    for number in range(16):
        values = np.random.default_rng(number).integers(0, 300, (2, SIDE, SIDE)) + (3000 if number % 2 else 600)
        file = tmp_path / "data" / ("bright" if number % 2 else "dark") / f"{number:02d}.twelve"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(MARK + f"p{number // 2:03d}".encode() + values.astype("<u2").tobytes())
    checked = library.check(tmp_path / "data", workers=2)  # processes that know nothing of this module
    assert not checked.errors and checked.summary["modes"] == {"12 bits": 32} and checked.summary["groups"] == 8
    run = library.fit(tmp_path / "data", out=tmp_path / "run", model="starter", preset="quick", workers=0, seed=1)
    answers = library.load(run.package).predict(tmp_path / "data" / "dark")  # all above 255: equal if cut to 8 bits
    assert [(answer.path[-9:], answer.label) for answer in answers[:2]] == [("00.twelve", "dark")] * 2
    assert len(answers) == 16 and {answer.label for answer in answers} == {"dark"}
