import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vitrail.basics.errors import SettingsError
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.reading import read_image
from vitrail.data.tone import Tone
from vitrail.models.package_facts import PackageFacts

LUNG = Tone(black=-1000, white=400, floats="values", colours="values")
HALVES = np.array([[-2000, -1000, -300, 400, 3000]])


def tiff(values: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF", **options)
    return buffer.getvalue()


def signed_tiff(values: np.ndarray, *, order: str = "<") -> bytes:
    """A TIFF of signed integers of 8, 16 or 32 bits, or of any other type, as scientific programs write it."""
    height, width = values.shape
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    kind = {"i": 2, "u": 1, "f": 3}[values.dtype.kind]
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8 * values.dtype.itemsize), (259, 3, 1), (262, 3, 1),
            (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(data)), (339, 3, kind)]  # fmt: skip
    entries = b"".join(
        struct.pack(f"{order}HHI", number, size, 1)
        + (struct.pack(f"{order}HH", value, 0) if size == 3 else struct.pack(f"{order}I", value))
        for number, size, value in tags
    )
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data))
    return start + data + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits with 1 to 4 channels: Pillow cannot write those of more than one."""
    height, width, channels = values.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    lines = b"".join(b"\0" + line.tobytes() for line in values.astype(">u2"))
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def levels(content: bytes, tone: Tone) -> list:
    return np.asarray(read_image(content, tone=tone)).tolist()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i2", "i4", "f4"])
def test_values_below_zero_keep_their_place_on_the_scale(kind, order):
    assert levels(signed_tiff(HALVES.astype(kind), order=order), LUNG) == [[0, 0, 128, 255, 255]]


def test_signed_bytes_and_large_unsigned_numbers_are_what_they_say():
    small = Tone(black=-128, white=127, floats="values", colours="values")
    assert levels(signed_tiff(np.array([[-128, -1, 0, 127]], np.int8)), small) == [[0, 127, 128, 255]]
    large = Tone(black=0, white=2**32 - 1, floats="values", colours="values")
    assert levels(signed_tiff(np.array([[0, 2**31, 2**32 - 1]], np.uint32)), large) == [[0, 128, 255]]


def test_what_is_not_finite_is_black_or_white():
    values = np.array([[np.nan, np.inf, -np.inf, -300]], np.float32)
    assert levels(tiff(values), LUNG) == [[0, 255, 0, 128]]


def test_numbers_at_the_border_of_what_can_be_counted_do_not_overflow():
    tone = Tone(black=-1e300, white=1e300, floats="values")
    assert tone.levels(np.array([-1.7e308, -1e300, 5e299, 1.7e308])).tolist() == [0, 0, 191, 255]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits_keep_all_of_them(channels):
    values = np.random.default_rng(channels).integers(0, 4096, (5, 7, channels), dtype=np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535
    tone = Tone(white=4095, floats="values", colours="values")
    seen = np.asarray(read_image(png16(values), tone=tone))
    shown = values[..., : channels - 1] if channels in (2, 4) else values
    assert np.array_equal(seen.reshape(shown.shape), tone.levels(shown))


@pytest.mark.parametrize("compression", ["raw", "tiff_deflate", "tiff_lzw"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_colours_of_16_bits_in_a_tiff_keep_all_of_them(compression, order):
    values = np.random.default_rng(1).integers(0, 4096, (6, 4, 3), dtype=np.uint16)
    tone = Tone(white=4095, floats="values", colours="values")
    assert np.array_equal(
        np.asarray(read_image(colour_tiff(values, compression, order), tone=tone)), tone.levels(values)
    )


def colour_tiff(values: np.ndarray, compression: str, order: str) -> bytes:
    """Written as grey of three times the width, and declared to be colour afterwards."""
    height, width, _ = values.shape
    grey = signed_tiff(values.reshape(height, width * 3), order=order)
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    code = {"raw": 1, "tiff_deflate": 8, "tiff_lzw": 5}[compression]
    if code == 8:
        data = zlib.compress(data)
    elif code == 5:
        buffer = io.BytesIO()
        Image.fromarray(np.frombuffer(data, np.uint8).reshape(height, width * 6)).save(
            buffer, "TIFF", compression="tiff_lzw", tiffinfo={278: height}
        )
        with Image.open(buffer) as lines:
            start, length = lines.tag_v2[273][0], lines.tag_v2[279][0]
        data = buffer.getvalue()[start : start + length]
    del grey
    tags = [(256, 4, width), (257, 4, height), (258, 3, 0), (259, 3, code), (262, 3, 2), (273, 4, 8 + 6),
            (277, 3, 3), (278, 4, height), (279, 4, len(data)), (284, 3, 1)]  # fmt: skip
    entries = b""
    for number, size, value in tags:
        if number == 258:
            entries += struct.pack(f"{order}HHII", 258, 3, 3, 8)
        else:
            entries += struct.pack(f"{order}HHI", number, size, 1) + (
                struct.pack(f"{order}HH", value, 0) if size == 3 else struct.pack(f"{order}I", value)
            )
    body = struct.pack(f"{order}HHH", 16, 16, 16) + data
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(body))
    return start + body + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)


def test_a_ppm_of_16_bits_keeps_all_of_them():
    values = np.arange(12, dtype=np.uint16).reshape(2, 2, 3) * 300
    content = b"P6 2 2 65535\n" + values.astype(">u2").tobytes()
    tone = Tone(white=3300, floats="values", colours="values")
    assert np.array_equal(np.asarray(read_image(content, tone=tone)), tone.levels(values))


def test_8_bits_are_the_same_whatever_the_tone():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8))
    for image, kind in ((picture, "PNG"), (picture.convert("L"), "TIFF"), (picture.convert("P"), "PNG")):
        buffer = io.BytesIO()
        image.save(buffer, kind)
        assert levels(buffer.getvalue(), LUNG) == levels(buffer.getvalue(), Tone())


def test_a_package_written_before_there_was_a_tone_shows_the_same_pixels():
    shown = Preprocessing.parse(white_level=4095)
    assert shown == Preprocessing(tone=Tone(white=4095))
    assert levels(tiff(np.array([[0, 1024, 2048, 4095, 5000]], np.uint16)), shown.tone) == [[0, 64, 128, 255, 255]]
    assert levels(tiff(np.array([[-1.0, 0.0, 3.0]], np.float32)), shown.tone) == [[0, 64, 255]]
    assert levels(png16(np.full((1, 1, 3), 0x12FF, np.uint16)), shown.tone) == [[[0x12] * 3]]
    assert Preprocessing.parse(**shown.model_dump(mode="json")) == shown


@pytest.mark.parametrize("scale", [{"black": 5, "white": 5}, {"black": float("nan")}, {"white": float("inf")}])
def test_a_scale_without_a_range_is_refused(scale):
    with pytest.raises(SettingsError):
        Preprocessing.parse(tone=scale)


def test_where_white_is_zero_more_than_8_bits_are_turned_over_as_8_bits_are():
    grey = np.array([[0, 1, 254, 255]], np.uint8)
    turned = [signed_tiff(values).replace(*WHITE_IS_ZERO, 1) for values in (grey, grey.astype(np.uint16) * 257)]
    shown = [levels(content, Tone(white=65535, floats="values", colours="values")) for content in turned]
    assert shown == [[[255, 254, 1, 0]]] * 2


WHITE_IS_ZERO = [struct.pack("<HHIHH", 262, 3, 1, value, 0) for value in (1, 0)]


def test_a_package_from_before_there_was_a_tone_shows_the_same_pixels():
    facts = PackageFacts.parse(classes=("a", "b"), preprocessing={"white_level": 4095}, metrics={}, provenance={})
    assert facts.preprocessing == Preprocessing(tone=Tone(white=4095))
    assert levels(tiff(np.array([[0, 2048, 4095]], np.uint16)), facts.preprocessing.tone) == [[0, 128, 255]]
    assert levels(tiff(np.array([[0, 2, 4]], np.float32)), facts.preprocessing.tone) == [[0, 128, 255]]
