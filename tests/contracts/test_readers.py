"""What every reader of image files keeps. A new one needs a line in `FAMILY`: files, and the values they hold."""

import io
import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.plain_reader import PLAIN_FILE, VALUES, Plain
from vitrail.basics.errors import UnreadableImageError, missing_extra
from vitrail.data.inspection.examine import examine
from vitrail.data.opened_pictures import header_of
from vitrail.data.readers import Reader, StoredPicture
from vitrail.data.readers.known import PHOTOGRAPHS, other_readers, reader_of
from vitrail.data.reading import read_image
from vitrail.data.tone import Tone
from vitrail.data.workers import map_in_workers

SCALE = Tone(black=1000, white=5000, floats="values", colours="values")


def tiff_of(frames: np.ndarray) -> bytes:
    pages, buffer = [Image.fromarray(frame) for frame in frames], io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    return buffer.getvalue()


FAMILY: dict[str, tuple[Reader, str, bytes]] = {
    "photographs": (PHOTOGRAPHS, ".tif", tiff_of(VALUES)),
    "plain": (Plain(), ".plain", PLAIN_FILE),
}
"""A reader of each kind, an extension, and a file of three frames that hold `VALUES`."""


@pytest.fixture(params=FAMILY)
def member(request, registered, tmp_path) -> tuple[Reader, Path]:
    reader, extension, content = FAMILY[request.param]
    if reader is not PHOTOGRAPHS:
        registered(reader)
    (tmp_path / f"file{extension}").write_bytes(content)
    return reader, tmp_path / f"file{extension}"


def refusal(*arguments, **options) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        read_image(*arguments, **options)
    return str(caught.value)


def test_every_built_in_reader_is_tested_here():
    tested = {type(reader) for reader, _, _ in FAMILY.values()}
    assert {type(reader) for reader in (PHOTOGRAPHS, *other_readers())} <= tested


def test_it_is_a_reader_that_can_be_sent_and_knows_its_files_by_their_first_bytes(member):
    reader, path = member
    assert isinstance(reader, Reader) and path.suffix in reader.extensions
    assert all(name == name.lower() and name.startswith(".") for name in reader.extensions)
    assert pickle.loads(pickle.dumps(reader)).extensions == reader.extensions
    assert reader.begins_like(path.read_bytes()[:132])
    assert not any(reader.begins_like(start) for start in (b"", b"\0", b"%PDF-1.4 and more", b"\0" * 132))
    assert type(reader_of(path.read_bytes(), "without an extension")) is type(reader)


def test_its_header_is_told_without_decoding(member):
    _, path = member
    with path.open("rb") as file:
        header = header_of(file, name=str(path))
    assert (header.width, header.height, header.frames) == (24, 20, 3)
    assert header.bits > 8


def test_each_frame_is_read_by_its_number_with_all_its_bits(member):
    _, path = member
    for frame in range(3):
        assert np.array_equal(read_image(path, frame=frame, tone=SCALE), SCALE.levels(VALUES[frame]))
    assert refusal(path, frame=3).startswith(f"{path}: ")


def test_inversion_comes_after_the_scale(member):
    _, path = member
    seen = np.asarray(read_image(path, tone=SCALE), int) + np.asarray(
        read_image(path, tone=SCALE.model_copy(update={"inverted": True})), int
    )
    assert seen.min() >= 255 and seen.max() <= 256  # 256 where both are rounded up


def test_a_damaged_file_is_refused_by_its_name_and_the_check_agrees(member, tmp_path):
    _, path = member
    content = path.read_bytes()
    for length in (6, 9, 200, 700):
        path.write_bytes(content[:length])
        said = refusal(path)
        assert said.startswith(f"{path}: ") and "\nhint: " in said
        assert examine(str(path)).fault
    for special in (tmp_path / "none.plain", tmp_path):
        assert refusal(special).startswith(f"{special}: ")
    os.mkfifo(tmp_path / f"pipe{path.suffix}")
    assert "pipe" in refusal(tmp_path / f"pipe{path.suffix}")


def test_a_picture_beyond_the_limit_is_refused(member):
    _, path = member
    assert "24 × 20 pixels, the limit is 479 in all" in refusal(path, max_pixels=479)


def test_the_check_tells_what_is_in_it(member):
    _, path = member
    facts = examine(str(path), 1)
    assert (facts.fault, facts.width, facts.height, facts.frames, facts.depth) == (None, 24, 20, 3, "integer")
    assert (facts.least, facts.white) == (VALUES[1].min(), VALUES[1].max())
    assert facts.id.endswith(":1")


def decoded(path: str) -> bytes:
    return read_image(path, tone=SCALE).tobytes()


def test_worker_processes_read_with_the_readers_of_their_caller(member):
    _, path = member
    assert list(map_in_workers(decoded, [str(path)], workers=1)) == [decoded(str(path))]


@dataclass(frozen=True)
class Faulty(Plain):
    """Gives or raises something else than a picture."""

    answer: object = None

    def picture(self, file, frame, wanted):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


FAULTS = {
    KeyError("rows"): "is broken, or its reader is: KeyError: 'rows'",
    missing_extra("medical", ImportError("pydicom")): "cannot be read: ",
    UnreadableImageError("is no scan", hint="fetch it again"): "is no scan\nhint: fetch it again",
    None: "cannot be shown: its reader gives NoneType, a picture was expected",
    (lambda: StoredPicture(np.zeros((2, 2, 7)))): "cannot be shown: its reader gives pixels of shape (2, 2, 7), ",
    (lambda: StoredPicture(np.zeros((0, 2)))): "cannot be shown: its reader gives pixels of shape (0, 2), ",
    (lambda: StoredPicture(np.zeros((2, 2), complex))): "cannot be shown: its reader gives pixels of type complex128",
    (lambda: StoredPicture(np.eye(2), window=(5.0, 5.0))): "cannot be shown: its reader gives (5.0, 5.0) as window",
}


@pytest.mark.parametrize(("answer", "words"), FAULTS.items())
def test_what_a_reader_throws_or_gives_makes_the_file_unreadable_and_nothing_else(answer, words, registered, tmp_path):
    registered(Faulty(answer=answer))
    (tmp_path / "a.plain").write_bytes(PLAIN_FILE)
    assert refusal(tmp_path / "a.plain").startswith(f"{tmp_path}/a.plain: {words}")
    assert examine(f"{tmp_path}/a.plain").fault.startswith(words.partition("\n")[0])
