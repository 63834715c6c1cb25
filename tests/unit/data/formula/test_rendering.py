import numpy as np
import pytest
from PIL import Image

from vitrail.basics.errors import InputError, SettingsError
from vitrail.data.formula.rendering import DRAWS, formula_class, formula_image
from vitrail.data.formula.settings import FAMILIES, FormulaSettings


def settings(**changed) -> FormulaSettings:
    return FormulaSettings(**{"image_size": 48, "classes": 12, **changed})


def images(chosen: FormulaSettings, count: int = 12) -> np.ndarray:
    return np.stack(
        [formula_image(chosen, number % chosen.classes, number // chosen.classes) for number in range(count)]
    )


def test_an_image_is_a_function_of_settings_class_and_rendering():
    first = images(settings(), 24)
    formula_class.cache_clear()
    np.testing.assert_array_equal(images(settings(), 24), first)
    assert len(np.unique(first.reshape(24, -1), axis=0)) == 24
    assert not np.array_equal(images(settings(formula_seed=1), 24), first)


def test_families_take_turns_and_one_that_is_named_twice_has_twice_as_many_classes():
    drawn = [formula_class(settings(), number).family for number in range(2 * len(FAMILIES))]
    assert drawn == 2 * list(FAMILIES)
    twice = settings(families=("fractal", "fractal", "visual_atom"))
    assert [formula_class(twice, number).family for number in range(3)] == ["fractal", "fractal", "visual_atom"]
    assert not np.array_equal(formula_image(twice, 0, 0), formula_image(twice, 1, 0))


def test_more_classes_leave_the_first_ones_as_they_were():
    np.testing.assert_array_equal(formula_image(settings(classes=12), 5, 3), formula_image(settings(classes=99), 5, 3))


def test_colours_are_mostly_grey_unless_the_settings_ask_for_more():
    def most_saturated(chosen: FormulaSettings) -> float:
        pixels = images(chosen).reshape(-1, 3).astype(float)
        bright = pixels[pixels.max(axis=1) > 100]
        return float((1 - bright.min(axis=1) / bright.max(axis=1)).max())

    assert most_saturated(settings(tint=0.0)) == 0
    assert 0.05 < most_saturated(settings()) < 0.22
    assert most_saturated(settings(tint=0.9)) > 0.7


def test_plasma_lies_behind_the_share_of_images_that_was_asked_for():
    seen = tuple(family for family in FAMILIES if family != "dead_leaves")  # these leave no ground to be seen

    def clouded(share: float) -> float:
        chosen = settings(plasma_share=share, families=seen)
        return float(np.mean([np.mean(image == 0) < 0.05 for image in images(chosen, 120)]))

    assert (clouded(0.0), clouded(1.0)) == (0, 1)
    assert clouded(0.5) == pytest.approx(0.5, abs=0.15)


def test_a_negative_turns_light_and_dark_around():
    chosen = settings(light_share=1.0)
    np.testing.assert_array_equal(images(chosen), 255 - images(settings()))


def test_several_shapes_of_one_class_stand_in_different_places():
    many = settings(families=("fractal",), classes=2, shapes_per_image=9, tint=0.0)
    lit = [np.argwhere(formula_image(many, 0, rendering).any(axis=2)).mean(axis=0) for rendering in range(40)]
    assert np.std(lit, axis=0).min() > 2
    assert formula_class(many, 0).family == "fractal"


@pytest.mark.parametrize("family", FAMILIES)
def test_no_image_is_almost_empty(family):
    for shapes in (1, 4):
        chosen = settings(families=(family,), classes=60, shapes_per_image=shapes)
        filled = [np.mean(image.any(axis=2)) for image in images(chosen, 240)]
        assert min(filled) > 0.02


@pytest.mark.parametrize(
    ("family", "least"),
    [("fractal", 0.7), ("visual_atom", 0.45), ("radial_contour", 0.3), ("pen_strokes", 0.15), ("dead_leaves", 0.5)],
)
def test_a_class_can_be_told_from_thirty_others_by_images_that_were_not_seen(family, least):
    chosen = settings(families=(family,), classes=30, image_size=64, tint=0.0)
    seen = np.array([[spectrum(formula_image(chosen, c, r)) for r in range(6)] for c in range(30)]).mean(axis=1)
    new = np.array([[spectrum(formula_image(chosen, c, r)) for r in range(6, 9)] for c in range(30)])
    nearest = ((new[:, :, None] - seen) ** 2).sum(axis=-1).argmin(axis=-1)
    assert np.mean(nearest == np.arange(30)[:, None]) > least


def spectrum(image: np.ndarray) -> np.ndarray:
    """Which directions and finenesses there are, wherever in the image they are."""
    amplitudes = np.log1p(np.abs(np.fft.fft2(image[:, :, 0] - image[:, :, 0].mean())))
    low = np.concatenate([amplitudes[:24, :24], amplitudes[:24, -24:]], axis=1).astype(np.float32)
    coarse = np.asarray(Image.fromarray(low).resize((24, 12), Image.Resampling.BOX)).ravel()
    return (coarse - coarse.mean()) / coarse.std()


def test_numbers_that_give_an_almost_empty_image_are_drawn_again_and_counted():
    strict = settings(least_filled=0.25, classes=30)
    assert sum(formula_class(strict, number).redrawn for number in range(30)) > 10
    assert sum(formula_class(settings(least_filled=0.0), number).redrawn for number in range(12)) == 0


def test_numbers_that_always_give_an_almost_empty_image_are_an_error():
    impossible = settings(families=("fractal",), least_filled=0.9)
    with pytest.raises(SettingsError) as fault:
        formula_image(impossible, 0, 0)
    assert str(fault.value) == (
        f"class 0 (fractal): {DRAWS} draws in a row gave images that draw less than 90% of their pixels\n"
        "hint: ask for less with --set least_filled=0.05, or leave this family out of --set families"
    )


@pytest.mark.parametrize("number", [-1, 12])
def test_a_class_that_there_is_not_is_an_error(number):
    with pytest.raises(InputError) as fault:
        formula_image(settings(), number, 0)
    assert str(fault.value) == (
        f"there is no class {number}: classes go from 0 to 11\nhint: the setting classes says how many there are"
    )


def test_a_rendering_below_zero_is_an_error():
    with pytest.raises(InputError) as fault:
        formula_image(settings(), 0, -1)
    assert str(fault.value) == "there is no rendering -1: renderings are counted from 0\nhint: take one from 0 on"


def test_bad_settings_are_told_together():
    with pytest.raises(SettingsError) as fault:
        FormulaSettings.parse(classes=0, families="fractal,square", image_size=8, tnt=1)
    assert str(fault.value) == (
        "4 settings are wrong:\n"
        "  - families: 'square' is no family; families are fractal, visual_atom, radial_contour, "
        "pen_strokes, dead_leaves, got 'fractal,square'\n"
        "  - classes: Input should be greater than or equal to 2, got 0\n"
        "  - image_size: Input should be greater than or equal to 16, got 8\n"
        "  - unknown setting 'tnt' - did you mean tint?\n"
        "hint: known settings: classes, families, formula_seed, image_size, least_filled, light_share, "
        "plasma_brightness, plasma_share, renderings, shapes_per_image, tint"
    )


def test_families_can_be_written_as_on_a_command_line():
    assert FormulaSettings.parse(families="fractal, visual_atom").families == ("fractal", "visual_atom")
    with pytest.raises(SettingsError, match="families: Tuple should have at least 1 item"):
        FormulaSettings.parse(families=[])
