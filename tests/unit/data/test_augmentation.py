import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy.stats import ks_2samp
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.functional import resized_crop

from tests.conftest import picture
from vitrail.basics.errors import SettingsError
from vitrail.data.augmentation import AugmentationSettings, augmented_pixels, random_crop
from vitrail.data.preprocessing import Preprocessing

NOTHING = AugmentationSettings(smallest_crop=1.0, flip=False, brightness=0.0, contrast=0.0)
EVERYTHING = AugmentationSettings(brightness=0.3, contrast=0.3, rotation_degrees=20.0)
SMALL = Preprocessing(height=24, width=24, crop_fraction=1.0)
ODD_SIZES = [(500, 37), (37, 500), (1, 1), (1, 1000), (1000, 1), (2, 3)]


def only(**changes) -> AugmentationSettings:
    return NOTHING.model_copy(update=changes)


def crops(size: tuple[int, int], settings: AugmentationSettings, count: int, aspect_ratio: float = 1.0) -> np.ndarray:
    drawn = [random_crop(size, settings, aspect_ratio=aspect_ratio, dice=random.Random(seed)) for seed in range(count)]
    return np.array(drawn)


def torchvisions_crops(size: tuple[int, int], settings: AugmentationSettings, count: int, centre: float) -> np.ndarray:
    """Boxes as ours: left, top, right, bottom."""
    torch.manual_seed(0)
    image = torch.empty(1, size[1], size[0])
    ratio = [centre / settings.aspect_jitter, centre * settings.aspect_jitter]
    drawn = [RandomResizedCrop.get_params(image, [settings.smallest_crop, 1.0], ratio) for _ in range(count)]
    return np.array([(left, top, left + wide, top + high) for top, left, high, wide in drawn])


def map_of_places(size: tuple[int, int]) -> Image.Image:
    """A picture whose red says how far right and whose green how far down a pixel stands, from 0 to 255."""
    across, down = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([across, down, np.zeros_like(down)], axis=-1).round().astype(np.uint8))


@pytest.mark.parametrize("settings", [AugmentationSettings(), EVERYTHING])
def test_a_view_depends_on_its_seed_and_on_nothing_drawn_before(settings):
    image = picture(1, size=(90, 60))
    first = augmented_pixels(image, SMALL, settings, seed=5)
    random.seed(99)
    np.random.seed(99)
    others = [augmented_pixels(image, SMALL, settings, seed=seed) for seed in range(5)]
    assert np.array_equal(augmented_pixels(image, SMALL, settings, seed=5), first)
    assert not any(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_without_any_change_a_view_is_what_validation_sees(crop_mode, channels, mode):
    preprocessing = Preprocessing(height=30, width=40, crop_mode=crop_mode, channels=channels)
    for size in [(90, 60), (35, 80), *ODD_SIZES]:
        image = picture(1, size=size).convert(mode)
        seen = augmented_pixels(image, preprocessing, NOTHING, seed=3)
        assert np.array_equal(seen, preprocessing.pixels(image))


@pytest.mark.parametrize(
    ("settings", "identity"),
    [(NOTHING, True), (only(aspect_jitter=2.0), True), (AugmentationSettings(), False), (only(flip=True), False),
     (only(smallest_crop=0.99), False), (only(brightness=0.1), False), (only(contrast=0.1), False),
     (only(rotation_degrees=5.0), False)],
)  # fmt: skip
def test_settings_know_whether_they_change_anything(settings, identity):
    image = picture(1, size=(90, 60))
    unchanged = [
        np.array_equal(augmented_pixels(image, SMALL, settings, seed=seed), SMALL.pixels(image)) for seed in range(8)
    ]
    assert settings.is_identity == identity == all(unchanged)


@pytest.mark.parametrize(("smallest_crop", "aspect_jitter"), [(0.5, 4 / 3), (0.08, 4 / 3), (0.05, 3.5)])
@pytest.mark.parametrize("size", [(400, 300), (350, 410), (640, 640)])
@pytest.mark.parametrize("aspect_ratio", [1.0, 1.1])
def test_crops_are_distributed_as_torchvisions(smallest_crop, aspect_jitter, size, aspect_ratio):
    settings = AugmentationSettings(smallest_crop=smallest_crop, aspect_jitter=aspect_jitter)
    ours = crops(size, settings, 2000, aspect_ratio)
    theirs = torchvisions_crops(size, settings, 2000, aspect_ratio)
    for measure in (area, aspect, across, down):
        # 72 comparisons: were the draws new every time, one run in 14 would see a p-value below 0.001.
        assert ks_2samp(measure(ours), measure(theirs)).pvalue > 0.001


def area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def aspect(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])


def across(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 0] + boxes[:, 2]


def down(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 1] + boxes[:, 3]


@pytest.mark.parametrize("size", [(400, 300), *ODD_SIZES])
@pytest.mark.parametrize("smallest_crop", [0.01, 0.5, 0.999])
def test_crops_lie_inside_the_picture_and_are_not_empty(size, smallest_crop):
    left, top, right, bottom = crops(size, AugmentationSettings(smallest_crop=smallest_crop), 300).T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (right <= size[0]).all()
    assert (bottom <= size[1]).all()
    assert (right > left).all()
    assert (bottom > top).all()


def test_crops_reach_every_edge_of_the_picture():
    left, top, right, bottom = crops((40, 30), AugmentationSettings(), 500).T
    assert max(left.min(), top.min(), 40 - right.max(), 30 - bottom.max()) < 0.2


def test_a_seed_draws_the_same_crop_of_a_picture_in_every_size():
    settings = AugmentationSettings(smallest_crop=0.2)
    assert np.allclose(crops((400, 300), settings, 500), crops((4000, 3000), settings, 500) / 10)


@pytest.mark.parametrize("size", ODD_SIZES[:2] + ODD_SIZES[3:5])
def test_of_a_picture_too_wide_to_crop_the_middle_is_taken_as_in_torchvision(size):
    settings = AugmentationSettings()
    assert np.abs(crops(size, settings, 20) - torchvisions_crops(size, settings, 20, 1.0)).max() <= 1
    assert len(np.unique(crops(size, settings, 20), axis=0)) == 1


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_a_random_crop_is_taken_from_the_whole_picture(crop_mode):
    preprocessing = Preprocessing(height=32, width=32, crop_fraction=0.5, crop_mode=crop_mode)
    image = map_of_places((120, 90))
    views = np.stack(
        [augmented_pixels(image, preprocessing, only(smallest_crop=0.5), seed=s) for s in range(200)]
    ).astype(int)
    left, right, top, bottom = views[:, 16, 0, 0], views[:, 16, -1, 0], views[:, 0, 16, 1], views[:, -1, 16, 1]
    # A pixel's middle stands half a pixel inside the crop, and a pixel of the view is 1/32 of it.
    shares = (right - left) * (bottom - top) / (255 * 31 / 32) ** 2
    assert 0.48 < shares.min() < 0.53
    assert 0.95 < shares.max() < 1.02
    assert max(left.min(), top.min()) < 6
    assert min(right.max(), bottom.max()) > 249


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "nearest"])
def test_a_cropped_view_has_the_pixels_of_torchvision(interpolation):
    preprocessing = Preprocessing(height=48, width=48, interpolation=interpolation)
    settings = only(smallest_crop=0.999999, aspect_jitter=1.0)
    for size in [(30, 30), (130, 130), (150, 150)]:
        image = picture(1, size=size)
        theirs = np.asarray(resized_crop(image, 0, 0, *size, [48, 48], InterpolationMode(interpolation)), int)
        ours = augmented_pixels(image, preprocessing, settings, seed=7)
        assert np.abs(ours - theirs).max() <= 1


def test_large_pictures_are_reduced_first_and_look_the_same():
    image = picture(1, size=(2000, 1600))
    ours = augmented_pixels(image, SMALL, only(smallest_crop=0.999999, aspect_jitter=1.25), seed=0)
    whole = np.asarray(image.resize((24, 24), Image.Resampling.BICUBIC), int)
    assert np.abs(ours - whole).max() <= 12


def test_about_half_of_the_views_are_mirrored_and_they_are_exact_mirrors():
    image = picture(1, size=(90, 60))
    seen = SMALL.pixels(image)
    views = [augmented_pixels(image, SMALL, only(flip=True), seed=seed) for seed in range(1000)]
    mirrored = [np.array_equal(view, seen[:, ::-1]) for view in views]
    assert all(np.array_equal(view, seen) for view, mirror in zip(views, mirrored, strict=True) if not mirror)
    assert 450 < sum(mirrored) < 550


def test_switching_the_mirror_off_leaves_the_other_changes_as_they_were():
    image = picture(1, size=(90, 60))
    for seed in range(20):
        with_flip = augmented_pixels(image, SMALL, AugmentationSettings(), seed=seed)
        without = augmented_pixels(image, SMALL, AugmentationSettings(flip=False), seed=seed)
        assert np.array_equal(with_flip, without) or np.abs(with_flip[:, ::-1].astype(int) - without).max() <= 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("setting", "enhance"), [("brightness", "Brightness"), ("contrast", "Contrast")])
def test_light_changes_are_pillows_within_the_stated_range(setting, enhance, channels):
    preprocessing = SMALL.model_copy(update={"channels": channels})
    seen = preprocessing.pixels(picture(1, size=(90, 60)))
    base = Image.fromarray(seen if channels == 3 else seen[..., 0])
    factors = np.linspace(0.7, 1.3, 61)
    table = [
        np.asarray(getattr(ImageEnhance, enhance)(base).enhance(factor), int).reshape(seen.shape) for factor in factors
    ]
    nearest = []
    for seed in range(60):
        view = augmented_pixels(picture(1, size=(90, 60)), preprocessing, only(**{setting: 0.2}), seed=seed)
        distances = [np.abs(view - other).max() for other in table]
        assert min(distances) <= 3
        nearest.append(factors[int(np.argmin(distances))])
    assert 0.78 < min(nearest) < 0.85
    assert 1.15 < max(nearest) < 1.22


def test_a_turned_view_keeps_its_middle_and_fills_its_corners_with_the_mean_colour():
    preprocessing = Preprocessing(height=41, width=41, crop_fraction=1.0, mean=(0.2, 0.4, 0.6))
    image = Image.new("RGB", (41, 41), (250, 250, 250))
    image.putpixel((20, 20), (0, 0, 0))
    views = [augmented_pixels(image, preprocessing, only(rotation_degrees=40.0), seed=seed) for seed in range(40)]
    assert all(view[20, 20].max() < 5 for view in views)
    corners = {tuple(int(value) for value in view[0, 0]) for view in views}
    assert (51, 102, 153) in corners
    grey = preprocessing.model_copy(update={"channels": 1, "mean": (0.2,), "std": (0.5,)})
    assert min(augmented_pixels(image, grey, only(rotation_degrees=40.0), seed=s)[0, 0, 0] for s in range(40)) == 51


def test_the_corners_that_a_turn_opens_are_not_relit():
    image = Image.new("RGB", (41, 41), (200, 200, 200))
    preprocessing = Preprocessing(height=41, width=41, crop_fraction=1.0, mean=(0.2, 0.4, 0.6))
    views = [
        augmented_pixels(image, preprocessing, only(rotation_degrees=40.0, brightness=0.5, contrast=0.5), seed=seed)
        for seed in range(40)
    ]
    corners = {tuple(int(value) for value in view[0, 0]) for view in views}
    middles = [int(view[20, 20, 0]) for view in views]
    assert {(51, 102, 153)} == {corner for corner in corners if len(set(corner)) > 1}
    # An even picture has no contrast of its own: only its brightness changes.
    assert min(middles) < 110
    assert max(middles) == 255


def test_turns_go_both_ways_and_as_far_as_stated():
    image = map_of_places((101, 101))
    preprocessing = Preprocessing(height=101, width=101, crop_fraction=1.0)
    degrees = []
    for seed in range(200):
        view = augmented_pixels(image, preprocessing, only(rotation_degrees=30.0), seed=seed).astype(int)
        step = view[50, 70] - view[50, 30]
        degrees.append(np.degrees(np.arctan2(step[1], step[0])))
    assert -31 < min(degrees) < -28
    assert 28 < max(degrees) < 31


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiny_and_very_wide_pictures_give_whole_views(size, mode, channels):
    preprocessing = Preprocessing(height=20, width=30, channels=channels)
    image = Image.new(mode, size, 200 if mode == "L" else (200, 200, 200))
    view = augmented_pixels(image, preprocessing, only(smallest_crop=0.5, flip=True), seed=1)
    assert view.shape == (20, 30, channels)
    assert view.dtype == np.uint8
    assert (view == 200).all()


def test_a_one_channel_model_sees_the_grey_of_a_colour_picture():
    preprocessing = Preprocessing(height=8, width=8, channels=1)
    view = augmented_pixels(Image.new("RGB", (30, 20), (255, 0, 0)), preprocessing, only(smallest_crop=0.5), seed=1)
    assert (view == 76).all()


def test_the_picture_itself_is_not_changed():
    image = picture(1, size=(90, 60))
    before = image.tobytes()
    augmented_pixels(image, SMALL, EVERYTHING, seed=1)
    assert image.tobytes() == before


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("smallest_crop", 0.0, "greater than 0"), ("smallest_crop", 1.1, "less than or equal to 1"),
     ("aspect_jitter", 0.75, "greater than or equal to 1"), ("aspect_jitter", 4.5, "less than or equal to 4"),
     ("brightness", 1.0, "less than 1"), ("contrast", -0.1, "greater than or equal to 0"),
     ("rotation_degrees", 181.0, "less than or equal to 180")],
)  # fmt: skip
def test_settings_outside_their_range_are_refused(name, value, expected):
    with pytest.raises(SettingsError, match=f"{name}: Input should be {expected}.*got {value}"):
        AugmentationSettings.parse(**{name: value})
