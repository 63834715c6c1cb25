import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

from tests.conftest import picture
from vitrail.basics.errors import UnreadableImageError
from vitrail.data import resampling
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.resampling import resized_window

FILTERS = [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.NEAREST]


@settings(max_examples=60, deadline=None)
@given(
    some.tuples(some.integers(1, 60), some.integers(1, 60)), some.tuples(some.integers(1, 400), some.integers(1, 400)),
    some.sampled_from(FILTERS), some.sampled_from(["L", "RGB"]), some.randoms(use_true_random=False),
)  # fmt: skip
def test_a_window_is_what_pillow_resizes_and_crops(small, large, kind, mode, dice):
    image = picture(dice.randrange(100), size=small).convert(mode)
    left, top = dice.randrange(large[0]), dice.randrange(large[1])
    window = (left, top, dice.randint(left + 1, large[0]), dice.randint(top + 1, large[1]))
    whole = image.resize(large, kind).crop(window)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "LARGEST_WHOLE", 0)
        assert resized_window(image, large, window, kind).tobytes() == whole.tobytes()


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (2, 777), (777, 3), (5, 5), (1, 1), (224, 900)])
@pytest.mark.parametrize("channels", [1, 3])
def test_strips_have_the_same_pixels_without_the_rest_of_the_picture(size, channels, monkeypatch):
    statistics = {"mean": (0.5,) * channels, "std": (0.5,) * channels}
    shown = Preprocessing(height=48, width=48, channels=channels, **statistics)
    before = shown.pixels(picture(1, size=size))
    monkeypatch.setattr(resampling, "LARGEST_WHOLE", 0)
    assert np.array_equal(shown.pixels(picture(1, size=size)), before)


@pytest.mark.parametrize("size", [(1, 8000), (8000, 1), (1, 3_000_000)])
def test_a_strip_takes_no_more_memory_than_what_the_crop_keeps(size, monkeypatch):
    def refused(*_, **__):
        pytest.fail("the whole strip was enlarged")

    monkeypatch.setattr(Image.Image, "resize", refused)
    tracemalloc.start()
    pixels = Preprocessing().pixels(Image.new("L", size, 77))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20_000_000
    assert pixels.shape == (224, 224, 3)
    assert (pixels == 77).all()


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_picture_without_pixels_is_refused(size):
    with pytest.raises(UnreadableImageError, match=f"has no pixels \\({size[0]} × {size[1]}\\)"):
        Preprocessing().pixels(Image.new("RGB", size))
