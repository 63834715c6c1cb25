import itertools

import numpy as np
import pytest
from PIL import Image

from tests.conftest import picture
from vitrail.basics.errors import UnreadableImageError
from vitrail.data.picture_views import AS_IT_IS, CORNERS, SeveralViews, View
from vitrail.data.preprocessing import Preprocessing

ALL = (AS_IT_IS, *(View(place=place) for place in CORNERS), *(View(scale) for scale in (0.8, 0.9, 1.1, 1.2)))
KINDS = {
    "usual": Preprocessing(height=64, width=64),
    "whole": Preprocessing(height=64, width=64, crop_fraction=1.0),
    "grey": Preprocessing(height=64, width=64, channels=1, mean=(0.4,), std=(0.2,)),
    "squash": Preprocessing(height=64, width=48, crop_mode="squash", crop_fraction=1.0),
    "border": Preprocessing(height=48, width=64, crop_mode="border", crop_fraction=0.95),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 64), (300, 200), (40, 90), (1, 1), (500, 3)], ids=str)
def test_views_have_the_models_size_and_the_first_is_the_picture_as_it_is_bit_for_bit(kind, size):
    shown, image = KINDS[kind], picture(4, size=size)
    views = SeveralViews(shown, ALL).pixels(image)
    assert views.shape == (9, shown.height, shown.width, shown.channels) and views.dtype == np.uint8
    assert np.array_equal(views[0], shown.pixels(image))
    assert np.array_equal(views, SeveralViews(shown, ALL).pixels(image))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 64), (300, 200), (80, 110)], ids=str)
def test_all_views_differ_from_one_another_also_where_the_middle_is_the_whole_picture(kind, size):
    views = SeveralViews(KINDS[kind], ALL).pixels(picture(4, size=size))
    for one, other in itertools.combinations(range(9), 2):
        assert np.abs(views[one].astype(float) - views[other]).mean() > 1, (ALL[one], ALL[other])


def test_corners_are_the_corners_of_the_picture():
    image = Image.new("RGB", (80, 80))
    for place, spot in zip(CORNERS, [(0, 0), (70, 0), (0, 70), (70, 70)], strict=True):
        image.paste(
            {"top left": "red", "top right": "lime", "bottom left": "blue"}.get(place, "white"),
            (*spot, *(v + 10 for v in spot)),
        )
    found = SeveralViews(Preprocessing(height=64, width=64), tuple(View(place=place) for place in CORNERS)).pixels(
        image
    )
    colours = [tuple(int(v) for v in found[n][y, x]) for n, (y, x) in enumerate([(2, 2), (2, 61), (61, 2), (61, 61)])]
    assert colours == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def test_a_scale_is_how_large_the_picture_is_shown():
    """The width of a white bar in the middle, in pixels of the view."""
    image = Image.new("L", (400, 400))
    image.paste(255, (180, 0, 220, 400))
    shown = Preprocessing(height=200, width=200, crop_fraction=0.8, channels=1, mean=(0.5,), std=(0.5,))
    views = SeveralViews(shown, (AS_IT_IS, View(0.8), View(1.2))).pixels(image)
    widths = [float((view[100, :, 0] / 255).sum()) for view in views]
    assert widths == pytest.approx([25, 20, 30], abs=0.6)


def test_what_a_smaller_picture_leaves_is_filled_with_the_models_mean_colour():
    shown = Preprocessing(height=100, width=100, crop_fraction=1.0, mean=(0.2, 0.4, 0.6))
    view = SeveralViews(shown, (View(0.8),)).pixels(Image.new("RGB", (100, 100), "white"))[0]
    assert view[5, 50].tolist() == view[50, 95].tolist() == [51, 102, 153]
    assert (view[10:90, 10:90] == 255).all()


def test_mirrored_views_are_mirrored_and_those_of_a_symmetric_picture_are_the_same():
    views = (AS_IT_IS, View(mirrored=True), View(1.1), View(1.1, mirrored=True))
    found = SeveralViews(KINDS["usual"], views).pixels(picture(3))
    assert np.array_equal(found[1], found[0][:, ::-1]) and np.array_equal(found[3], found[2][:, ::-1])
    symmetric = np.concatenate([np.asarray(picture(3)), np.asarray(picture(3))[:, ::-1]], axis=1)
    found = SeveralViews(KINDS["usual"], views[:2]).pixels(Image.fromarray(symmetric))
    assert np.abs(found[0].astype(int) - found[1]).max() <= 2, "but for rounding in the resize"


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(UnreadableImageError, match="has no pixels"):
        SeveralViews(KINDS["usual"], (View(1.1),)).pixels(Image.new("RGB", (0, 5)))
