"""One preprocessing object, the same pixels as timm's own transform, bit for bit."""

import numpy as np
import pytest
import timm.data
import torch

from tests.conftest import picture
from vitrail.data.preprocessing import Preprocessing

SIZES = [(320, 213), (213, 320), (100, 100), (37, 500), (500, 37), (224, 224), (249, 248)]


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("height", "width"), [(224, 224), (96, 160), (30, 30)])
@pytest.mark.parametrize("crop_fraction", [0.875, 0.9, 1.0])
def test_the_pixels_are_those_of_timm(crop_mode, interpolation, height, width, crop_fraction):
    ours = Preprocessing(
        height=height, width=width, crop_mode=crop_mode, interpolation=interpolation, crop_fraction=crop_fraction
    )
    theirs = timm.data.create_transform(
        (3, height, width), crop_mode=crop_mode, interpolation=interpolation, crop_pct=crop_fraction,
        mean=ours.mean, std=ours.std, is_training=False,
    )  # fmt: skip
    for seed, size in enumerate(SIZES):
        image = picture(seed, size=size)
        pixels = torch.from_numpy(ours.pixels(image).copy()).permute(2, 0, 1)
        assert torch.equal((pixels.float() / 255 - 0.5) / 0.5, theirs(image)), size


def test_one_channel_is_read_as_grey():
    pixels = Preprocessing(height=8, width=8, channels=1, mean=(0.5,), std=(0.5,)).pixels(picture(1))
    assert pixels.shape == (8, 8, 1)
    assert pixels.dtype == np.uint8
