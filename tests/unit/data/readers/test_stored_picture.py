import numpy as np
import pytest

from vitrail.data.image_settings import ImageSettings
from vitrail.data.readers import StoredPicture
from vitrail.data.tone import Tone

CT = np.array([[-1000, -160, 40, 240, 3000]], np.int16)
LUNG = {"black": -1000, "white": 400, "floats": "values", "colours": "values"}


def levels(picture: StoredPicture, **tone) -> list[int]:
    return np.asarray(picture.seen(Tone(**tone)))[0].tolist()


def test_one_scale_for_all_unless_the_files_own_window_is_asked_for():
    picture = StoredPicture(CT, window=(-160, 240))
    assert levels(picture, **LUNG) == [0, 153, 189, 226, 255]
    assert levels(picture, **LUNG, window="own") == [0, 0, 128, 255, 255]
    assert levels(StoredPicture(CT), **LUNG, window="own") == levels(picture, **LUNG)


def test_values_are_windowed_first_and_inverted_then_with_all_their_bits():
    picture = StoredPicture(CT, window=(-160, 240), inverted=True)
    assert levels(picture, **LUNG, window="own") == [255, 255, 128, 0, 0]
    assert levels(picture, **LUNG, window="own", inverted=True) == [0, 0, 128, 255, 255]
    fine = StoredPicture(np.array([[0, 1, 2, 3]], np.uint16), window=(0, 3), inverted=True)
    assert levels(fine, **LUNG, window="own") == [255, 170, 85, 0]


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32, np.float64, ">u2"])
def test_the_range_that_a_file_states_is_the_scale_where_none_was_measured(kind):
    picture = StoredPicture(np.array([[0, 1024, 4095]], kind), value_range=(0, 4095))
    assert levels(picture) == [0, 64, 255]
    assert levels(picture, black=0, white=1024, floats="values") == [0, 255, 255]


def test_what_is_not_a_number_is_black_or_after_inversion_white():
    values = np.array([[np.nan, np.inf, -np.inf, 0]], np.float32)
    assert levels(StoredPicture(values, value_range=(-1, 1))) == [0, 255, 0, 128]
    assert levels(StoredPicture(values, value_range=(-1, 1), inverted=True)) == [255, 0, 255, 128]


@pytest.mark.parametrize("kind", [np.uint8, np.bool_])
def test_pictures_of_8_bits_are_inverted_and_nothing_else(kind):
    picture = StoredPicture(np.array([[0, 1]], kind), window=(0, 1))
    white = 255 if kind is np.bool_ else 1
    assert levels(picture, **LUNG, window="own") == [0, white]
    assert levels(picture, **LUNG, inverted=True) == [255, 255 - white]
    assert picture.values() is None


def test_colours_have_a_scale_in_each_layer():
    picture = StoredPicture(np.array([[[0, 2048, 4095]]], np.uint16), value_range=(0, 4095))
    seen = picture.seen(Tone())
    assert (seen.mode, seen.getpixel((0, 0))) == ("RGB", (0, 128, 255))


def test_a_tone_says_and_writes_what_it_does_and_what_changes_nothing_is_not_written():
    plain, full = Tone(**LUNG), Tone(**LUNG, window="own", inverted=True, clahe=2)
    assert plain.model_dump(mode="json") == LUNG
    assert full.model_dump(mode="json") == {**LUNG, "window": "own", "inverted": True, "clahe": 2.0}
    assert Tone.parse(**full.model_dump(mode="json")) == full
    assert full.words() == "black -1,000, white 400, or the window that a file asks for, inverted, CLAHE 2"
    assert ImageSettings().tone_window == "scale"
