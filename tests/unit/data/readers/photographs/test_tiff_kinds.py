import io
import struct

import numpy as np
import pytest
from PIL import Image

from tests.conftest import picture
from tests.unit.data.test_tone import signed_tiff
from vitrail.basics.errors import UnreadableImageError
from vitrail.data.reading import read_image


def refusal(content: bytes) -> str:
    with pytest.raises(UnreadableImageError) as error:
        read_image(content)
    return error.value.message.removeprefix("image: ")


@pytest.mark.parametrize(
    ("kind", "words"), [("f2", "16-bit floating point"), ("u8", "64-bit integers"), ("i8", "64-bit signed integers")]
)
def test_a_sound_tiff_of_a_kind_that_is_not_read_is_not_called_truncated(kind, words):
    content = signed_tiff(np.ones((4, 6), kind))
    assert refusal(content) == (
        f"is a TIFF of a kind that is not read: 6 × 4 pixels, 1 channel of {words}, no compression"
    )


def test_unknown_compressions_are_called_by_name():
    content = bytearray(signed_tiff(np.ones((4, 6), "u2")))
    place = content.index(struct.pack("<HHI", 259, 3, 1))
    content[place + 8 : place + 10] = struct.pack("<H", 50002)
    assert refusal(bytes(content)).endswith("JPEG XL")


def test_a_tiff_that_breaks_off_is_still_truncated():
    buffer = io.BytesIO()
    picture(1, size=(200, 200)).save(buffer, "TIFF")
    assert "truncated" in refusal(buffer.getvalue()[:-5000])


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_usual_tiffs_are_read(compression):
    buffer = io.BytesIO()
    picture(1).save(buffer, "TIFF", compression=compression, big_tiff=compression is None)
    difference = np.asarray(read_image(buffer.getvalue())).astype(int) - np.asarray(picture(1))
    assert np.abs(difference).mean() < (3 if compression == "jpeg" else 1e-9)


def test_many_pages_fax_and_palette_are_read():
    for image, options in (
        (picture(1).convert("1"), {"compression": "group4"}), (picture(1).quantize(16), {}),
        (picture(1), {"save_all": True, "append_images": [picture(2)]}), (picture(1).convert("CMYK"), {}),
    ):  # fmt: skip
        buffer = io.BytesIO()
        image.save(buffer, "TIFF", **options)
        assert read_image(buffer.getvalue()).size == (40, 32)
    assert isinstance(Image.open(buffer), Image.Image)
