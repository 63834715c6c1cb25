import io
import os
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.conftest import picture
from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.printable import printable
from vitrail.data.inspection.examine import examine
from vitrail.data.readers.photographs.heic import HEIC_EXTENSIONS
from vitrail.data.readers.photographs.reader import EXTENSIONS
from vitrail.data.reading import read_image, upright
from vitrail.data.tone import Tone
from vitrail.data.written_names import name_fault

ORIENTATION = 0x0112

# What has to be done to a picture as seen so that EXIF orientation N turns it back.
STORED_AS = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that states its size and then holds almost nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def cmyk_profile(*, lightness: int) -> bytes:
    """The smallest ICC profile for CMYK: all inks but black leave paper of this lightness (0-255), without colour."""
    identity = bytes(range(256))
    table = struct.pack(">4s4xBBBx9i", b"mft1", 4, 3, 2, *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table += identity * 4 + bytes([lightness, 128, 128, 0, 128, 128]) * 8 + identity * 3
    names = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    size = 128 + len(names) + len(table)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"\0" * 12, b"acsp")
    return header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061) + b"\0" * 48 + names + table


def palette_with_alpha(value: int, alpha: int) -> Image.Image:
    image = Image.new("L", (2, 2), value).convert("PA")
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_the_way_exif_says(kind, orientation):
    seen = picture(1)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = seen if STORED_AS[orientation] is None else seen.transpose(STORED_AS[orientation])
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    found = read_image(encoded(stored, kind, exif=exif, **options))
    assert found.size == seen.size
    difference = np.abs(np.asarray(found, dtype=int) - np.asarray(seen, dtype=int))
    assert difference.max() <= (30 if kind == "JPEG" else 0)
    assert difference.mean() < 3


def test_a_damaged_exif_block_does_not_hide_the_picture():
    content = encoded(picture(1), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff broken")
    assert read_image(content).size == picture(1).size


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_16_bit_grey_is_scaled_with_rounding_and_not_clipped(mode):
    values = np.array([[0, 257, 40_000, 65_535, 128, 129]])
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
    image = Image.frombytes(mode, (6, 1), values.astype(dtype).tobytes())
    seen = upright(image)
    assert seen.mode == "L"
    assert np.asarray(seen).tolist() == [[0, 1, 156, 255, 0, 1]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_white_level_spreads_12_bits_over_the_grey_scale(kind):
    image = Image.fromarray(np.array([[0, 1024, 2048, 4095, 5000]], dtype=np.uint16))
    assert np.asarray(read_image(encoded(image, kind), tone=Tone(white=4095))).tolist() == [[0, 64, 128, 255, 255]]


def test_negative_values_are_black():
    assert np.asarray(upright(Image.fromarray(np.array([[-7, 65_535]], dtype=np.int32)))).tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.2, 0.4, 0.4], [51, 102, 102]),
        ([-1.0, 0.0, 3.0], [0, 64, 255]),
        ([0.0, np.nan, 1000.0], [0, 0, 255]),
        ([7.0, 7.0, 7.0], [0, 0, 0]),
    ],
)
def test_floating_point_is_read_as_0_to_1_and_stretched_beyond(values, seen):
    content = encoded(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF")
    assert np.asarray(read_image(content)).tolist() == [seen]


def test_cmyk_goes_through_its_own_profile():
    ink = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    profile = cmyk_profile(lightness=128)
    ImageCms.getOpenProfile(io.BytesIO(profile))
    seen = read_image(encoded(ink, "TIFF", icc_profile=profile))
    # Lightness 50.2 of 100 is grey 120 in sRGB; Pillow's plain formula would give cyan.
    assert seen.getpixel((4, 4)) == pytest.approx((120, 120, 120), abs=2)


@pytest.mark.parametrize("profile", [None, b"no profile at all" * 20])
def test_cmyk_without_a_usable_profile_is_converted_plainly(profile):
    options = {"icc_profile": profile} if profile else {}
    ink = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert read_image(encoded(ink, "TIFF", **options)).getpixel((4, 4)) == (0, 255, 255)


def test_lab_is_read_as_the_colours_it_means():
    colours = picture(3)
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    seen = upright(ImageCms.applyTransform(colours, to_lab))
    assert seen.mode == "RGB"
    difference = np.abs(np.asarray(seen, dtype=int) - np.asarray(colours, dtype=int))
    assert difference.max() <= 12  # strong orange lies at the edge of what 8-bit Lab can say
    assert difference.mean() < 1


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        (Image.new("1", (2, 2), 1), ("L", 255)),
        (Image.new("L", (2, 2), 77), ("L", 77)),
        (Image.new("RGB", (2, 2), (1, 2, 3)), ("RGB", (1, 2, 3))),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 0)), ("RGB", (255, 255, 255))),
        (Image.new("RGBA", (2, 2), (0, 100, 200, 128)), ("RGB", (127, 177, 227))),
        (Image.new("RGBA", (2, 2), (9, 8, 7, 255)), ("RGB", (9, 8, 7))),
        (Image.new("LA", (2, 2), (0, 128)), ("L", 127)),
        (Image.new("LA", (2, 2), (50, 255)), ("L", 50)),
        (Image.new("LA", (2, 2), (0, 128)).convert("La"), ("L", 127)),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 128)).convert("RGBa"), ("RGB", (127, 127, 127))),
        (palette_with_alpha(3, 255), ("RGB", (3, 3, 3))),
        (palette_with_alpha(3, 0), ("RGB", (255, 255, 255))),
        (Image.new("RGBX", (2, 2), (1, 2, 3, 0)), ("RGB", (1, 2, 3))),
        (Image.new("HSV", (2, 2), (0, 0, 200)), ("RGB", (200, 200, 200))),
        (Image.new("YCbCr", (2, 2), (90, 128, 128)), ("RGB", (90, 90, 90))),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else str(value[1]),
)
def test_every_mode_is_seen_on_white(image, seen):
    found = upright(image)
    assert (found.mode, found.getpixel((0, 0))) == seen


def test_a_palette_is_seen_in_its_colours():
    colours = picture(2).quantize(16)
    assert read_image(encoded(colours, "PNG")).tobytes() == colours.convert("RGB").tobytes()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_colour_is_white(kind):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.putpixel((0, 0), 0)
    seen = read_image(encoded(image, kind, transparency=0))
    assert (seen.getpixel((0, 0)), seen.getpixel((3, 3))) == ((255, 255, 255), (0, 200, 0))


def test_a_transparent_grey_value_is_white_and_the_picture_stays_grey():
    image = Image.new("L", (4, 4), 30)
    image.putpixel((0, 0), 90)
    seen = read_image(encoded(image, "PNG", transparency=90))
    assert (seen.mode, seen.getpixel((0, 0)), seen.getpixel((3, 3))) == ("L", 255, 30)


def test_a_picture_in_memory_is_not_changed():
    image = Image.new("RGBA", (3, 2), (5, 6, 7, 9))
    image.getexif()[ORIENTATION] = 6
    before = image.tobytes()
    assert upright(image).size == (2, 3)
    assert (image.tobytes(), image.size, image.mode) == (before, (3, 2), "RGBA")


def test_each_frame_of_a_series_is_read_by_its_number(tmp_path):
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "lime", "blue")]
    for name in ("series.tif", "series.gif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        found = [read_image(tmp_path / name, frame=number).convert("RGB").getpixel((2, 2)) for number in range(3)]
        assert found == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
        with pytest.raises(
            UnreadableImageError, match=r"frame 5 was asked for, it has fewer\nhint: frames count from 0"
        ):
            read_image(tmp_path / name, frame=5)


def test_a_picture_is_whole_after_its_file_is_gone(tmp_path):
    picture(1).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    assert type(found) is Image.Image
    assert found.tobytes() == picture(1).tobytes()


def test_what_counts_as_an_image_is_what_pillow_opens():
    Image.init()
    opened = {name for name, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert opened >= EXTENSIONS - HEIC_EXTENSIONS  # which need an extra
    assert {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"} <= EXTENSIONS
    assert not {".eps", ".ps", ".mpg", ".h5", ".pdf", ".txt"} & EXTENSIONS


def refusal(path: Path | bytes, **options) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        read_image(path, **options)
    text = str(caught.value)
    assert text.startswith(f"{printable(str(path))}: " if isinstance(path, Path) else "image: ")
    assert "\nhint: " in text
    return text.removeprefix(f"{printable(str(path))}: ")


def test_a_missing_file_a_dead_link_a_folder_and_an_empty_file_are_told_apart(tmp_path):
    (tmp_path / "link.png").symlink_to("nowhere.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    assert refusal(tmp_path / "none.png").startswith("does not exist\n")
    assert refusal(tmp_path / "link.png").startswith("is a link to nowhere (nowhere.png)\n")
    assert refusal(tmp_path / "folder.png").startswith("is a folder, not an image\n")
    assert refusal(tmp_path / "empty.png").startswith("is empty (0 bytes)\n")
    assert refusal(Path("a\0b.png")).startswith("cannot be read: embedded null byte")


def test_a_file_that_may_not_be_read_is_told_so(tmp_path):
    picture(1).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        assert refusal(tmp_path / "a.png").startswith("no permission to read it\nhint: chmod u+r")
    finally:
        if root:
            os.seteuid(0)


def test_text_other_bytes_and_foreign_formats_are_told_apart(tmp_path):
    (tmp_path / "a.jpg").write_text("<html>404 Not Found</html>")
    (tmp_path / "b.jpg").write_bytes(b"\x00\x01\x02\x03\x80\x81\x82\x83rest")
    (tmp_path / "c.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    assert refusal(tmp_path / "a.jpg").startswith("is not an image but text (a web page)\n")
    assert refusal(tmp_path / "b.jpg").startswith("is not an image, and of no kind that is known here\n")
    assert refusal(tmp_path / "c.jpg").startswith("is a EPS file, which is not decoded here\n")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_file_cut_in_half_is_refused_as_truncated_or_broken(tmp_path, kind):
    content = encoded(picture(4, size=(200, 160)), kind)
    (tmp_path / "half").write_bytes(content[: len(content) // 2])
    assert refusal(tmp_path / "half").startswith(("is truncated: ", "is broken: "))
    assert examine(str(tmp_path / "half")).fault is not None


def test_a_jpeg_cut_in_half_is_called_truncated():
    content = encoded(picture(4, size=(200, 160)), "JPEG")
    assert "is truncated: image file is truncated" in refusal(content[: len(content) // 2])
    assert "is truncated or broken: begins like PNG, then breaks off" in refusal(encoded(picture(4), "PNG")[:12])


def test_a_picture_of_20_000_by_20_000_pixels_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "huge.png").write_bytes(png_header(20_000, 20_000))
    start = time.monotonic()
    told = refusal(tmp_path / "huge.png")
    assert told.startswith("is too large: 20000 × 20000 pixels, the limit is 178,956,970 in all\n")
    assert time.monotonic() - start < 1


def test_a_large_file_that_is_no_image_is_refused_before_it_is_read_and_told_once(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(65 * 2**20)
    assert refusal(tmp_path / "large.png").startswith("is not an image, and of no kind that is known here\n")


def test_a_lower_limit_can_be_asked_for():
    assert "40 × 32 pixels, the limit is 1,000 in all" in refusal(encoded(picture(1), "PNG"), max_pixels=1000)


def test_pillows_warnings_do_not_leak():
    # 100 million pixels: Pillow warns from 89 million on, and warnings are errors here.
    assert "is truncated" in refusal(png_header(10_000, 10_000))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_damaged_bytes_give_a_picture_or_our_own_error_and_examine_agrees(tmp_path, kind):
    generator = np.random.default_rng(len(kind))
    options = {"progressive": True} if kind == "JPEG" else {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    whole = encoded(picture(5, size=(120, 90)), kind, **options)
    path = tmp_path / "damaged"
    unreadable = 0
    for number in range(150):
        content = bytearray(whole)
        if number % 3 == 0:
            del content[number // 3 + 1 if number < 60 else int(generator.integers(1, len(content))) :]
        else:
            # Half of the flips in the first bytes, where the structure is.
            reach = len(content) if number % 3 == 1 else min(200, len(content))
            for place in generator.integers(0, reach, generator.integers(1, 6)):
                content[place] = generator.integers(0, 256)
        path.write_bytes(content)
        try:
            read_image(path, max_pixels=10_000_000)
            fault = None
        except UnreadableImageError as error:
            fault = error
            unreadable += 1
        if fault is None or "too large" not in str(fault):
            assert (examine(str(path)).fault is None) == (fault is None), number
    assert unreadable > 20


def test_real_photographs_and_ct_slices_are_read(real_data):
    paths = [path for name in ("hymenoptera", "covid_ct") for path in sorted((real_data / name).glob("*/*/*"))[::10]]
    modes = {read_image(path).mode for path in paths}
    assert modes == {"RGB", "L"}


@pytest.mark.parametrize(
    "secret",
    [b"root:x:0:0:root:/root:/bin/bash\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb", bytes(range(200, 256))],
)
def test_of_a_file_that_is_no_image_nothing_is_shown(secret, tmp_path):
    (tmp_path / "passwd").write_bytes(secret)
    said = refusal(tmp_path / "passwd")
    assert said.startswith("is not an image")
    for start in range(len(secret) - 3):
        assert secret[start : start + 4].decode("latin-1") not in said
        assert secret[start : start + 2].hex(" ") not in said


def test_names_in_utf_8_are_not_blamed_where_python_reads_another_encoding(monkeypatch):
    assert name_fault([b"caf\xe9"])[0] == "is not valid UTF-8"
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    what, hint = name_fault(["café".encode()])
    assert what == "cannot be read as ascii, in which this Python reads file names" and hint == "export PYTHONUTF8=1"
