import re

import numpy as np
from PIL import Image

from vitrail.pages.heat import captioned, filter_sheet, heat_picture, picture_uri, plain_picture, similarity_sheet
from vitrail.pages.reach_plot import reach_svg

GREY = np.full((224, 224, 3), 100, dtype=np.uint8)


def _pixels(times_even):
    return np.asarray(heat_picture(GREY, np.asarray(times_even, dtype=float), (112, 112)), dtype=int)


def test_noise_around_an_even_spread_stays_nearly_invisible():
    plain, noisy = _pixels(np.ones((2, 2))), _pixels([[1.05, 0.95], [0.9, 1.1]])
    assert np.abs(plain[:112] - noisy[:112]).max() < 30
    assert (plain[:112, 112:] == noisy[:112, 112:]).all()
    assert len(np.unique(plain)) == 1
    assert np.abs(plain - _pixels([[8, 1], [1, 1]])).max() > 60


def test_the_same_value_has_the_same_colour_on_every_map():
    one, other = _pixels([[2, 1], [1, 1]]), _pixels([[2, 8], [1, 1]])
    assert (one[0, 0] == other[0, 0]).all()


def test_values_beyond_the_scale_look_like_its_end():
    assert (_pixels([[8, 1], [1, 1]])[0, 0] == _pixels([[80, 1], [1, 1]])[0, 0]).all()


def test_patches_have_hard_edges_and_nothing_rings():
    found = _pixels([[4, 1], [1, 1]])
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 2


def test_small_pictures_are_enlarged_and_edges_without_patches_have_no_colour():
    small = np.full((33, 32, 3), 100, dtype=np.uint8)
    found = heat_picture(small, np.full((2, 2), 8.0), (16, 16))
    assert min(found.size) >= 224
    assert len(set(found.getpixel((0, found.height - 1)))) == 1
    assert plain_picture(small[..., :1]).mode == "RGB"


def test_captions_longer_than_their_picture_are_broken_and_shortened():
    sheet = captioned([("a long caption " * 9, plain_picture(GREY)), ("b", plain_picture(GREY))], under=["words"])
    assert sheet.width == 2 * 224 + 30


def test_a_sheet_of_components_has_grey_for_zero():
    components = np.zeros((3, 3, 4, 4))
    components[0, :, 0, 0] = [1, -1, 0.5]
    sheet = np.asarray(filter_sheet(components, side=4))
    assert sheet[4, 4].tolist() == [255, 0, 191]
    assert sheet[6, 6].tolist() == [128, 128, 128]


def test_a_sheet_of_similarities_tells_alike_opposite_and_unknown_apart():
    similarity = np.zeros((1, 3, 1, 3))
    similarity[0, 0, 0] = [1, -1, np.nan]
    sheet = np.asarray(similarity_sheet(similarity, most=9), dtype=int)
    alike, opposite, unknown = (sheet[2, 2 + place] for place in (0, 1, 2))
    assert alike[0] > alike[2] and opposite[2] > opposite[0] and unknown.tolist() == [128, 128, 128]


def test_pictures_travel_in_the_page():
    assert picture_uri(Image.new("RGB", (4, 4))).startswith("data:image/jpeg;base64,")


def test_the_plot_of_distances_has_a_dot_for_every_head_that_has_one():
    drawn = str(reach_svg([[1.0, 2.0], [None, 3.0]], even=2.5))
    assert drawn.count("<circle") == 3
    assert "layer 1, head 1: 3.00 patches" in drawn and "2 layers; from 1.00 to 3.00 patches." in drawn
    heights = [float(each) for each in re.findall(r'cy="([\d.]+)"', drawn)]
    assert heights == sorted(heights, reverse=True)
    with_none = str(reach_svg([[None]], even=0.0))
    assert with_none.count("<circle") == 0
