import numpy as np
import pytest

from tests.conftest import picture
from vitrail.basics.errors import InputError
from vitrail.data.image_list import ImageList
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.spread_pixels import spread_pixels

SHOWN = Preprocessing(height=8, width=8)


@pytest.fixture
def listed(write_images, tmp_path):
    folder = write_images({"cat": 9})

    def images(*broken):
        for number in broken:
            (folder / "cat" / f"{number:03d}.png").write_bytes(b"no image")
        return ImageList.write(folder, tmp_path / "images.arrow")

    return images


def test_images_are_taken_from_everywhere_in_the_list_and_those_that_cannot_be_read_are_left_out(listed):
    expected = [SHOWN.pixels(picture(number)) for number in (0, 8)]
    np.testing.assert_array_equal(spread_pixels(listed(4), SHOWN, 3), expected)


def test_where_none_of_these_can_be_read_the_first_others_are_taken(listed):
    expected = [SHOWN.pixels(picture(number)) for number in (1, 2, 3)]
    np.testing.assert_array_equal(spread_pixels(listed(0, 4, 8), SHOWN, 3), expected)


def test_a_list_without_one_image_that_can_be_read_is_an_error(listed):
    with pytest.raises(InputError, match=r"^none of the 9 images can be read; the first: .*000\.png: is not an image"):
        spread_pixels(listed(*range(9)), SHOWN, 3)
