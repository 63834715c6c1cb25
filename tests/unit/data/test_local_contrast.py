import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import picture
from vitrail.data.local_contrast import locally_equalised, locally_equalised_picture
from vitrail.data.readers import StoredPicture
from vitrail.data.reading import upright
from vitrail.data.tone import Tone

SHAPES = {"even": (64, 48), "uneven": (50, 37), "one side uneven": (64, 50)}
LIMITS = (2.0, 40.0)


def given(name: str) -> np.ndarray:
    height, width = SHAPES[name]
    noise = np.random.default_rng(7).integers(0, 90, (height, width))
    return (noise + np.linspace(20, 120, width).astype(int)).astype(np.uint8)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("name", SHAPES)
def test_whole_levels_become_what_opencv_makes_of_them(name, limit):
    expected = np.load(Path(__file__).parent / "clahe_of_opencv.npz")[f"{name} {limit:g}"]
    found = locally_equalised(given(name).astype(np.float32), limit)
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01  # OpenCV adds up in float32


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (7, 3), (9, 8), (300, 16)])
def test_pictures_of_any_size_are_equalised(shape):
    levels = np.random.default_rng(1).random(shape, np.float32) * 255
    assert locally_equalised(levels, 2.0).shape == shape


def test_fractions_of_a_level_are_not_lost():
    faint = StoredPicture(np.linspace(30_000, 30_256, 64 * 64).reshape(64, 64).round().astype(np.uint16))
    plain, equalised = (np.asarray(faint.seen(Tone(clahe=limit))) for limit in (0, 256))
    assert len(np.unique(plain)) == 2
    assert len(np.unique(equalised)) > 50
    assert (np.diff(equalised.mean(axis=1)) >= 0).mean() > 0.7  # brighter below, as before


def test_contrast_comes_last_and_is_that_of_8_bits_where_a_picture_has_no_more():
    grey = Image.fromarray(given("even"))
    assert upright(grey, tone=Tone(clahe=2)).tobytes() == locally_equalised_picture(grey, 2.0).tobytes()
    inverted = Image.fromarray(255 - given("even"))
    assert (
        upright(grey, tone=Tone(clahe=2, inverted=True)).tobytes() == locally_equalised_picture(inverted, 2.0).tobytes()
    )
    deep = StoredPicture(given("even").astype(np.uint16), value_range=(0, 255))
    assert deep.seen(Tone(clahe=2)).tobytes() == locally_equalised_picture(grey, 2.0).tobytes()


def test_of_colours_only_the_brightness_changes():
    colours = picture(3)
    seen = upright(colours, tone=Tone(clahe=4))
    before, after = (np.asarray(each.convert("YCbCr"), int) for each in (colours, seen))
    assert np.abs(before[..., 0] - after[..., 0]).mean() > 5
    assert np.median(np.abs(before[..., 1:] - after[..., 1:])) <= 2
    deep = StoredPicture(np.asarray(colours).astype(np.uint16), value_range=(0, 255))
    assert deep.seen(Tone(clahe=4)).tobytes() == seen.tobytes()


def test_nothing_is_equalised_unless_it_is_asked_for():
    assert zlib.crc32(upright(picture(3), tone=Tone()).tobytes()) == zlib.crc32(picture(3).tobytes())
    assert "CLAHE" not in Tone().words() and Tone(clahe=2).words().endswith(", CLAHE 2")
