from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vitrail.data.formula.dead_leaves import FILLINGS, MOST_LEAVES, DeadLeaves
from vitrail.data.formula.shapes import Placement


def leaves(**changed) -> DeadLeaves:
    numbers = {
        "corners": 4, "waist": 1.0, "elongation": 1.0, "direction": 0.0, "disorder": 0.1, "radii": (0.05, 0.4),
        "filling": "flat", "stripes": 8.0, "decay": 0.6, "greys": (0.5, 0.2), "blur": 0.0,
    }  # fmt: skip
    return DeadLeaves(**{**numbers, **changed})


def ink(chosen: DeadLeaves, seed: int = 0, size: int = 64) -> np.ndarray:
    return chosen.ink(size, Placement(), np.random.default_rng(seed)).astype(float)


def test_radii_fall_off_with_the_third_power():
    outlines = np.concatenate([leaves()._outlines(np.random.default_rng(seed)) for seed in range(40)])
    radii = np.linalg.norm(outlines, axis=2).max(axis=1)
    assert radii.min() >= 0.05 and radii.max() <= 0.4 + 1e-9
    # A density like r^-3 leaves (r^-2 - b^-2) / (a^-2 - b^-2) of all leaves above r.
    for radius in (0.07, 0.1, 0.2):
        above = (radius**-2 - 0.4**-2) / (0.05**-2 - 0.4**-2)
        assert np.mean(radii > radius) == pytest.approx(above, abs=0.015)


def test_outlines_are_the_points_that_are_worked_out_by_hand():
    turned = leaves(elongation=2.0, direction=np.pi / 2, disorder=0.0, waist=0.5)
    first = turned._outlines(np.random.default_rng(0))[0]
    radius = np.linalg.norm(first[0]) / 2
    # Upright: the long axis, twice the radius, points down; the short one, drawn in by half, is a quarter.
    expected = radius * np.array([[0, 2], [-0.25, 0], [0, -2], [0.25, 0]])
    np.testing.assert_allclose(first, expected, atol=1e-9)


def test_aligned_leaves_change_more_across_than_along_their_direction():
    image = ink(leaves(elongation=2.0, disorder=0.05, corners=24))
    assert np.abs(np.diff(image, axis=0)).mean() > 1.3 * np.abs(np.diff(image, axis=1)).mean()


def test_stripes_have_the_fineness_of_their_class():
    def peak(stripes: float) -> int:
        chosen = leaves(filling="striped", stripes=stripes, disorder=0.0, greys=(0.5, 0.0))
        square = np.asarray(chosen._filled(64, np.random.default_rng(1))).astype(float)
        return int(np.abs(np.fft.rfft(square[0] - square[0].mean())).argmax())

    assert (peak(4.0), peak(12.0)) == (4, 12)


def test_leaves_hide_the_ground_and_leave_no_pixel_empty():
    for seed in range(20):
        image = ink(DeadLeaves.drawn(np.random.default_rng(seed)), seed)
        assert image.min() >= 1 and image.std() > 2


def test_blur_takes_away_what_is_fine():
    sharp, soft = ink(leaves()), ink(leaves(blur=0.02))
    assert np.abs(np.diff(soft)).mean() < 0.7 * np.abs(np.diff(sharp)).mean()


def test_numbers_are_drawn_from_the_ranges_that_are_told():
    classes = [DeadLeaves.drawn(np.random.default_rng(seed)) for seed in range(1000)]
    assert {each.corners for each in classes} == {*range(3, 9), 24}
    assert {each.filling for each in classes} == set(FILLINGS)
    assert all(0.4 <= each.waist <= 1 and 1 <= each.elongation <= 2 and 0 <= each.blur <= 0.02 for each in classes)
    assert all(0.02 <= each.radii[0] <= 0.08 and 0.12 <= each.radii[1] <= 0.4 for each in classes)
    assert all(0.1 <= each.disorder <= 3 and 3 <= each.stripes <= 16 and 0.4 <= each.decay <= 0.9 for each in classes)


@pytest.mark.parametrize("filling", FILLINGS)
def test_leaves_lie_as_if_they_had_been_painted_one_after_the_other(filling):
    leaves = replace(DeadLeaves.drawn(np.random.default_rng(3)), filling=filling, blur=0.0)
    dice = np.random.default_rng(4)
    painted = Image.new("L", (48, 48), leaves._grey(dice))
    fillings = [Image.fromarray(leaves._filled(48, dice)) for _ in range(4)]
    outlines = leaves._outlines(dice) * 48 + dice.uniform(0, 48, (MOST_LEAVES, 1, 2))
    for number, outline in enumerate(outlines.astype(np.float32)):
        mask = Image.new("L", (48, 48))
        ImageDraw.Draw(mask).polygon(outline.ravel().tolist(), fill=255)
        painted.paste(fillings[number % 4] if dice.random() < 0.8 else leaves._grey(dice), (0, 0), mask)
    expected = np.maximum(np.asarray(painted), 1)
    np.testing.assert_array_equal(leaves.ink(48, Placement(), np.random.default_rng(4)), expected)
