import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, shift

from tests.conftest import picture
from vitrail.basics.errors import InputError
from vitrail.data.corruptions.blur import disk, enlarged, smeared
from vitrail.data.corruptions.digital import smoothed
from vitrail.data.corruptions.known import CORRUPTIONS, SEVERITIES, corrupted, known_corruptions, picture_seed
from vitrail.data.corruptions.weather import plasma

PICTURE = np.asarray(picture(5, size=(48, 40), hue=1))
STILL = {
    "gaussian_blur",
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "saturate",
    "pixelate",
    "jpeg_compression",
}


def distance(corruption, severity, pixels=PICTURE):
    return float(np.abs(corrupted(pixels, corruption, severity, seed=1).astype(float) - pixels).mean())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severity_0_is_the_picture_and_the_same_seed_gives_the_same_bytes(name):
    before = PICTURE.copy()
    assert np.array_equal(corrupted(PICTURE, name, 0, seed=1), PICTURE)
    one = corrupted(PICTURE, name, 3, seed=1)
    assert one.dtype == np.uint8 and one.shape == PICTURE.shape and not np.array_equal(one, PICTURE)
    assert np.array_equal(one, corrupted(PICTURE, name, 3, seed=1))
    assert np.array_equal(one, corrupted(PICTURE, name, 3, seed=2)) == (name in STILL)
    assert np.array_equal(PICTURE, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_grey_pictures_and_pictures_of_any_size_are_corrupted_too(name):
    for size in ((1, 1), (3, 9), (40, 48)):
        for channels in (1, 3):
            pixels = np.full((*size, channels), 90, np.uint8)
            pixels[: size[0] // 2] = 160
            for severity in SEVERITIES:
                assert corrupted(pixels, name, severity, seed=0).shape == pixels.shape
    grey = np.asarray(Image.fromarray(PICTURE).convert("L"))[..., None]
    assert np.array_equal(corrupted(grey, name, 3, seed=0), grey) == CORRUPTIONS[name].needs_colour


@pytest.mark.parametrize(
    "name", [name for name in CORRUPTIONS if name not in ("saturate", "elastic_transform", "snow")]
)
def test_higher_severities_lie_farther_from_the_picture(name):
    whole = np.asarray(picture(5, size=(224, 200), hue=1))
    found = [distance(name, severity, whole) for severity in SEVERITIES]
    assert found == sorted(found) and found[0] > 0


def test_noise_has_its_published_spread():
    grey = np.full((320, 320, 1), 128, np.uint8)
    noisy = corrupted(grey, "gaussian_noise", 1, seed=0) / 255
    assert noisy.std() == pytest.approx(0.08, abs=0.002) and noisy.mean() == pytest.approx(128 / 255, abs=0.001)
    speckled = corrupted(grey, "speckle_noise", 1, seed=0) / 255
    assert speckled.std() == pytest.approx(0.15 * 128 / 255, abs=0.002)
    shot = corrupted(grey, "shot_noise", 1, seed=0) / 255
    assert shot.std() == pytest.approx(np.sqrt(128 / 255 / 60), abs=0.002)
    impulse = corrupted(grey, "impulse_noise", 1, seed=0)
    assert (impulse == 0).mean() == pytest.approx(0.015, abs=0.002) == pytest.approx((impulse == 255).mean(), abs=0.002)


def test_smoothing_is_that_of_scipy_with_mirrored_edges():
    field = np.random.default_rng(0).uniform(-1, 1, (21, 34))
    for sigma in (0.7, 3.0, 40.0):
        expected = gaussian_filter(field, sigma, mode="reflect", truncate=3.0)
        assert np.allclose(smoothed(field, sigma), expected, atol=1e-12)


def test_a_blur_at_224_pixels_is_the_published_one_and_smaller_pictures_are_blurred_as_much():
    point = np.zeros((224, 224, 3), np.uint8)
    point[112, 112] = 255
    expected = gaussian_filter(point[..., 0] / 255.0, 1, mode="nearest", truncate=4.0) * 255
    assert np.allclose(corrupted(point, "gaussian_blur", 1, seed=0)[..., 0], expected, atol=0.51)
    wide = np.zeros((64, 64), np.float32)
    wide[32:] = 1
    large = np.kron(wide, np.ones((4, 4), np.float32))[..., None]
    small = gaussian_filter(wide, 6 * 64 / 224, mode="nearest")
    reduced = corrupted((255 * large).astype(np.uint8), "gaussian_blur", 5, seed=0)[2::4, 2::4, 0] / 255
    assert np.allclose(reduced[8:-8], small[8:-8], atol=0.06)


def test_the_disk_of_a_lens_is_round_and_softened():
    hard = disk(3, 0.1)
    assert hard.shape == (17, 17) and hard.sum() == pytest.approx(1) and (hard > 1e-6).sum() == 29
    assert np.allclose(hard, hard.T) and np.allclose(hard, hard[::-1])
    soft = disk(10, 0.5)
    assert soft.shape == (21, 21) and soft.sum() == pytest.approx(1) and 0 < soft[10, 0] < soft[10, 10]


def test_a_level_smear_is_half_a_normal_curve():
    point = np.zeros((9, 31, 1), np.float32)
    point[4, 20] = 1
    weights = np.exp(-(np.arange(7) ** 2) / (2 * 2.0**2))
    expected = sum(w * shift(point[..., 0], (0, -k), order=0) for k, w in enumerate(weights / weights.sum()))
    assert np.allclose(smeared(point, 3, 2.0, degrees=0)[..., 0], expected, atol=1e-6)


def test_enlarging_shows_the_middle_larger():
    ramp = np.linspace(0, 1, 101, dtype=np.float32)[None, :, None].repeat(101, axis=0)
    twice = enlarged(ramp, 2.0)
    assert twice.shape == ramp.shape and twice[50, 50, 0] == pytest.approx(0.5, abs=1e-3)
    assert twice[50, 2, 0] == pytest.approx(0.25, abs=0.02) and twice[50, -3, 0] == pytest.approx(0.75, abs=0.02)


def test_brightness_contrast_and_saturation_do_what_their_names_say():
    pixels = np.array([[[100, 50, 25], [0, 0, 0], [60, 60, 60]]], np.uint8)
    brighter = corrupted(pixels, "brightness", 2, seed=0)[0].tolist()
    assert brighter == [[151, 76, 38], [51, 51, 51], [111, 111, 111]]
    flat = corrupted(pixels, "contrast", 5, seed=0)[0].astype(float)
    assert np.allclose(flat.mean(axis=0), pixels[0].mean(axis=0), atol=0.6) and np.ptp(flat, axis=0).max() <= 6
    colourless = corrupted(pixels, "saturate", 2, seed=0)[0].tolist()
    assert colourless == [[100, 95, 92], [0, 0, 0], [60, 60, 60]]
    assert corrupted(pixels, "saturate", 5, seed=0)[0].tolist() == [[100, 33, 0], [0, 0, 0], [60, 60, 60]]


def test_clouds_reach_from_0_to_1_and_repeat_at_their_edges():
    found = plasma(64, 2.0, np.random.default_rng(0))
    assert (found.min(), found.max()) == (0, 1)
    inside = np.abs(np.diff(found, axis=0)).max()
    assert np.abs(found[0] - found[-1]).max() <= 1.5 * inside


def test_jpeg_and_coarse_pixels_are_those_of_pillow():
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "JPEG", quality=15)
    assert np.array_equal(corrupted(PICTURE, "jpeg_compression", 3, seed=0), np.asarray(Image.open(buffer)))
    small = Image.fromarray(PICTURE).resize((int(48 * 0.4), int(40 * 0.4)), Image.Resampling.BOX)
    expected = np.asarray(small.resize((48, 40), Image.Resampling.BOX))
    assert np.array_equal(corrupted(PICTURE, "pixelate", 3, seed=0), expected)


def test_a_pictures_draws_depend_on_the_picture_and_the_corruption_alone():
    assert picture_seed(0, "abc", "fog") == picture_seed(0, "abc", "fog")
    assert len({picture_seed(s, i, c) for s in (0, 1) for i in "ab" for c in ("fog", "snow")}) == 8


def test_unknown_corruptions_and_severities_are_refused():
    assert known_corruptions(["snow", "shot_noise", "snow"]) == ["shot_noise", "snow"]
    with pytest.raises(InputError, match=r"^there is no corruption 'fogg'\nhint: did you mean fog"):
        corrupted(PICTURE, "fogg", 1, seed=0)
    with pytest.raises(InputError, match=r"^the severity 6 was asked for\nhint: 1 to 5"):
        corrupted(PICTURE, "fog", 6, seed=0)
