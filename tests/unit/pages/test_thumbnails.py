import base64
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from vitrail.pages.thumbnails import thumbnail_uri


def decoded(uri: str) -> Image.Image:
    head, body = uri.split(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


@pytest.mark.parametrize(("size", "expected"), [((640, 320), (160, 80)), ((50, 500), (16, 160)), ((20, 10), (20, 10))])
def test_a_thumbnail_keeps_proportions_and_never_grows(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert decoded(thumbnail_uri(Image.new("RGB", size), pixels=5000)).size == expected


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "RGB"])
def test_every_mode_becomes_an_rgb_jpeg(mode: str) -> None:
    assert decoded(thumbnail_uri(Image.new(mode, (30, 30)))).mode == "RGB"


def test_what_is_transparent_becomes_white() -> None:
    assert min(decoded(thumbnail_uri(Image.new("RGBA", (30, 30), (0, 0, 0, 0)))).getpixel((5, 5))) > 250


def test_the_image_is_left_as_it_is_and_its_tags_stay_behind() -> None:
    image = Image.new("RGB", (300, 300))
    image.getexif()[0x010F] = "the patient's name"
    image.info["comment"] = b"the patient's name"
    small = decoded(thumbnail_uri(image))
    assert image.size == (300, 300)
    assert not small.getexif() and "comment" not in small.info and "exif" not in small.info


def test_a_real_photograph_becomes_a_few_kilobytes() -> None:
    root = os.environ.get("VITRAIL_REAL_DATA")
    if not root:
        pytest.skip("VITRAIL_REAL_DATA is not set: no real photographs here")
    with Image.open(next(iter(sorted(Path(root, "hymenoptera/val/bees").glob("*.jpg"))))) as photo:
        assert 2_000 < len(thumbnail_uri(photo)) < 16_000
