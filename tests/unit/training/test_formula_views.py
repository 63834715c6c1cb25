import math

import pytest
import torch

from vitrail.training.formula_views import FormulaViewSettings, formula_views

STILL = {"smallest_crop": 1.0, "mirror": False, "brightness": 0.0, "contrast": 0.0}
BATCH, SIDE = 200, 32


def views_of(pixels, *, size=SIDE, seed=0, **changed):
    return formula_views(pixels, FormulaViewSettings(**{**STILL, **changed}), size=size, seed=seed)


@pytest.fixture(scope="module")
def noise():
    return torch.randint(0, 256, (5, SIDE, SIDE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def ramps():
    """Images whose red is brighter to the right and whose green is brighter to the bottom, by 8 per pixel."""
    steps = (4 + 8 * torch.arange(SIDE, dtype=torch.uint8)).float()
    image = torch.stack((steps.expand(SIDE, SIDE), steps[:, None].expand(SIDE, SIDE), torch.zeros(SIDE, SIDE)), dim=-1)
    return image.byte().expand(BATCH, -1, -1, -1)


def slopes(views):
    """Change of red and green per pixel to the right and per pixel down, in pixels of the image: (B, 2, 2)."""
    inner = views[:, :2, 4:-4, 4:-4] * 255 / 8
    right, down = inner.diff(dim=3).mean(dim=(2, 3)), inner.diff(dim=2).mean(dim=(2, 3))
    return torch.stack((right, down), dim=2)


def test_with_everything_off_a_view_is_its_image(noise):
    torch.testing.assert_close(views_of(noise), noise.permute(0, 3, 1, 2) / 255, rtol=0, atol=1e-5)


def test_a_view_has_the_size_that_is_asked_for(noise):
    assert views_of(noise, size=48, smallest_crop=0.3).shape == (5, 3, 48, 48)


def test_views_are_a_function_of_the_seed(noise):
    settings = FormulaViewSettings(rotation_degrees=20)
    one, again, other = (formula_views(noise, settings, size=16, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not any(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_the_callers_random_numbers_neither_matter_nor_change(noise):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one = views_of(noise, smallest_crop=0.2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    assert torch.equal(views_of(noise, smallest_crop=0.2), one)


def test_crops_keep_at_least_the_smallest_share_and_lie_within_the_image(ramps):
    found = slopes(views_of(ramps, smallest_crop=0.25, aspect_jitter=1.0))
    wide, high = found[:, 0, 0], found[:, 1, 1]
    torch.testing.assert_close(wide, high, rtol=0, atol=1e-3)
    areas = wide * high
    assert 0.249 < areas.min() < 0.3 and 0.9 < areas.max() <= 1.001
    views = views_of(ramps, smallest_crop=0.25, aspect_jitter=1.0)[:, :2]
    assert views.min() >= 4 / 255 - 1e-6 and views.max() <= 252 / 255 + 1e-6
    left = views[:, 0, :, 0].mean(dim=1)
    assert left.std() > 0.05, "crops that all begin at the same place are no random crops"


def test_crops_are_stretched_by_no_more_than_the_aspect_jitter(ramps):
    found = slopes(views_of(ramps, smallest_crop=0.2, aspect_jitter=1.5))
    stretched = found[:, 0, 0] / found[:, 1, 1]
    assert 1.2 < stretched.max() <= 1.501 and 1 / 1.501 <= stretched.min() < 1 / 1.2


def test_half_of_the_views_are_mirrored_in_each_direction(ramps):
    found = slopes(views_of(ramps, mirror=True))
    for turned in (found[:, 0, 0] < 0, found[:, 1, 1] < 0):
        assert 0.35 < turned.float().mean() < 0.65
    torch.testing.assert_close(found[:, 0, 0].abs(), torch.ones(BATCH), rtol=0, atol=1e-4)


def test_views_are_turned_by_no_more_than_the_angle(ramps):
    found = slopes(views_of(ramps, rotation_degrees=30, smallest_crop=0.2, aspect_jitter=1.0))
    angles = torch.atan2(found[:, 0, 1], found[:, 0, 0]).rad2deg()
    assert 20 < angles.max() <= 31 and -31 <= angles.min() < -20
    still = slopes(views_of(ramps, smallest_crop=0.2))
    assert still[:, 0, 1].abs().max() < 1e-4


def test_brightness_and_contrast_stay_within_their_bounds():
    flat = torch.full((BATCH, 8, 8, 3), 102, dtype=torch.uint8)
    brighter = views_of(flat, size=8, brightness=0.25).mean(dim=(1, 2, 3)) / 0.4
    assert 0.75 <= brighter.min() < 0.8 and 1.2 < brighter.max() <= 1.2501
    checks = flat.clone()
    checks[:, ::2] = 153
    stronger = views_of(checks, size=8, contrast=0.25)
    spread = stronger.std(dim=(1, 2, 3)) / views_of(checks, size=8).std(dim=(1, 2, 3))
    assert 0.75 - 1e-3 <= spread.min() < 0.8 and 1.2 < spread.max() <= 1.2501
    torch.testing.assert_close(stronger.mean(dim=(1, 2, 3)), torch.full((BATCH,), 0.5), rtol=0, atol=1e-5)
    assert views_of(checks, size=8, brightness=0.9, contrast=0.9).max() <= 1


def test_what_is_switched_off_leaves_the_other_draws_as_they_were(ramps):
    changed = {"smallest_crop": 0.3, "mirror": True}
    plain = slopes(views_of(ramps, **changed))
    relit = slopes(views_of(ramps, **changed, brightness=1e-6, contrast=1e-6))
    torch.testing.assert_close(plain, relit, rtol=0, atol=1e-3)


def test_a_turn_fills_what_it_opens_with_the_mirrored_image():
    grey = torch.full((50, 16, 16, 3), 128, dtype=torch.uint8)
    turned = views_of(grey, size=16, rotation_degrees=45)
    assert math.isclose(float(turned.min()), 128 / 255, abs_tol=1e-5)
