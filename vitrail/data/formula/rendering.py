"""From a class and the number of a rendering to the image."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from vitrail.basics.errors import InputError, SettingsError
from vitrail.basics.seeds import derived_seed
from vitrail.data.formula.colours import laid_over, tinted_greys
from vitrail.data.formula.dead_leaves import DeadLeaves
from vitrail.data.formula.iterated_functions import IteratedFunctionSystem
from vitrail.data.formula.pen_strokes import PenStrokes
from vitrail.data.formula.plasma import plasma
from vitrail.data.formula.radial_contours import RadialContour
from vitrail.data.formula.settings import Family, FormulaSettings
from vitrail.data.formula.shapes import Formula, Placement
from vitrail.data.formula.visual_atoms import VisualAtom

DRAWS = 100
"""So many times the numbers of a class are drawn until they give an image that is not almost empty."""


@dataclass(frozen=True)
class FormulaClass:
    """A class: its formula with its numbers.

    Attributes:
        family: kind of formula.
        formula: what draws an instance.
        redrawn: how often the numbers were drawn before, for an almost empty image.
    """

    family: Family
    formula: Formula
    redrawn: int


_DRAWN: dict[Family, Callable[[np.random.Generator], Formula]] = {
    "fractal": IteratedFunctionSystem.drawn,
    "visual_atom": VisualAtom.drawn,
    "radial_contour": RadialContour.drawn,
    "pen_strokes": PenStrokes.drawn,
    "dead_leaves": DeadLeaves.drawn,
}


def formula_image(settings: FormulaSettings, class_number: int, rendering: int) -> UInt8[np.ndarray, "H W 3"]:
    """One image: a function of its arguments alone.

    Args:
        settings: of the whole set.
        class_number: from 0 to `settings.classes` - 1.
        rendering: any number from 0; those from `settings.renderings` on are stored nowhere, so they were never seen.

    Raises:
        InputError: there is no such class or rendering.
        SettingsError: nothing but almost empty images can be drawn for the class.

    >>> formula_image(FormulaSettings(image_size=32), 0, 0).shape
    (32, 32, 3)
    """
    _refuse_unknown(settings, class_number, rendering)
    formula = formula_class(settings, class_number).formula
    dice = np.random.default_rng(derived_seed(settings.formula_seed, "formula image", class_number, rendering))
    image = _ground(settings, dice)
    for placement in _placements(settings.shapes_per_image, dice):
        ink = formula.ink(settings.image_size, placement, dice)
        image = laid_over(image, ink, tinted_greys(1.0, settings.tint, dice))
    return 255 - image if dice.random() < settings.light_share else image


@functools.lru_cache(maxsize=2**16)
def formula_class(settings: FormulaSettings, class_number: int) -> FormulaClass:
    """The numbers of a class, which stay the same when there are more classes.

    Raises:
        SettingsError: so many draws all give an almost empty image.
    """
    family = settings.families[class_number % len(settings.families)]
    for redrawn in range(DRAWS):
        seed = derived_seed(settings.formula_seed, "formula class", class_number, redrawn)
        formula = _DRAWN[family](np.random.default_rng(seed))
        ink = formula.ink(settings.image_size, Placement(), np.random.default_rng(seed))
        if np.count_nonzero(ink) >= settings.least_filled * ink.size:
            return FormulaClass(family, formula, redrawn)
    raise SettingsError(
        f"class {class_number} ({family}): {DRAWS} draws in a row gave images that draw less than "
        f"{settings.least_filled:.0%} of their pixels",
        hint="ask for less with --set least_filled=0.05, or leave this family out of --set families",
    )


def _refuse_unknown(settings: FormulaSettings, class_number: int, rendering: int) -> None:
    if not 0 <= class_number < settings.classes:
        raise InputError(
            f"there is no class {class_number}: classes go from 0 to {settings.classes - 1}",
            hint="the setting classes says how many there are",
        )
    if rendering < 0:
        raise InputError(f"there is no rendering {rendering}: renderings are counted from 0", hint="take one from 0 on")


def _ground(settings: FormulaSettings, dice: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
    size = settings.image_size
    if dice.random() >= settings.plasma_share:
        return np.zeros((size, size, 3), np.uint8)
    clouds = plasma(size, decay=dice.uniform(0.4, 0.8), dice=dice)
    return tinted_greys(settings.plasma_brightness, settings.tint, dice)[np.rint(255 * clouds).astype(np.uint8)]


def _placements(most: int, dice: np.random.Generator) -> list[Placement]:
    """One shape stands near the middle and fills the image; several are smaller and stand anywhere."""
    count = int(dice.integers(1, most + 1))
    if count == 1:
        return [Placement(*dice.uniform(0.4, 0.6, 2), extent=dice.uniform(0.8, 1.3))]
    return [Placement(*dice.uniform(0.2, 0.8, 2), extent=dice.uniform(0.3, 0.6)) for _ in range(count)]
