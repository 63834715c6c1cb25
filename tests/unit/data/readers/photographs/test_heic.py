import sys

import pytest

from tests.unit.data.readers.photographs.heic_sample import HEIC
from vitrail.basics.errors import UnreadableImageError
from vitrail.data.inspection.examine import examine
from vitrail.data.readers.photographs.heic import HEIC_EXTENSIONS, is_heic
from vitrail.data.readers.photographs.reader import EXTENSIONS
from vitrail.data.reading import read_image


def test_heic_is_read_where_its_extra_is_installed(tmp_path):
    pytest.importorskip("pi_heif")
    (tmp_path / "a.heic").write_bytes(HEIC)
    seen = read_image(tmp_path / "a.heic")
    assert (seen.size, seen.mode) == ((64, 48), "RGB")
    (red, _, blue), (other_red, _, other_blue) = seen.getpixel((8, 24)), seen.getpixel((56, 24))
    assert blue > 150 > red
    assert other_red > 150 > other_blue
    assert examine(str(tmp_path / "a.heic")).fault is None


def test_without_the_extra_heic_is_no_broken_file_but_names_what_reads_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(UnreadableImageError) as error:
        read_image(HEIC)
    assert str(error.value) == (
        "image: is a HEIC picture, which needs an extra to be read\nhint: pip install 'vitrail[heic]'"
    )


def test_heic_is_never_passed_over_and_avif_is_not_taken_for_it():
    assert HEIC_EXTENSIONS <= EXTENSIONS
    assert is_heic(HEIC)
    assert is_heic(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic")
    assert not is_heic(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf")
    assert not is_heic(b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf")
    assert not is_heic(b"")
