"""What can be set about formula images: how many, which formulas, how they look."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from vitrail.basics.settings import Settings

Family = Literal["fractal", "visual_atom", "radial_contour", "pen_strokes", "dead_leaves"]
"""A kind of formula; its classes differ in the numbers of the formula."""

FAMILIES: tuple[Family, ...] = get_args(Family)
"""All of them, in the order in which they take turns."""


def _as_families(value: Any) -> Any:
    """`"fractal,visual_atom"` to its parts; anything but text and lists stays as it is and is refused by its type."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    unknown = [name for name in value if name not in FAMILIES] if isinstance(value, list | tuple) else []
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no family; families are {', '.join(FAMILIES)}")
    return value


class FormulaSettings(Settings):
    """Formula images: how many, which, and how they look.

    An image is a function of these settings, its class and the number of its rendering alone.
    """

    families: Annotated[tuple[Family, ...], Field(min_length=1), BeforeValidator(_as_families)] = FAMILIES
    """Kinds of formula, in turn: class 0 is of the first, class 1 of the second, and so on around. One that is named
    twice has twice as many classes."""
    classes: int = Field(default=1000, ge=2)
    """Number of classes, of all families together."""
    renderings: int = Field(default=16, ge=1)
    """Images of each class."""
    image_size: int = Field(default=96, ge=16, le=512)
    """Height and width of an image in pixels."""
    shapes_per_image: int = Field(default=1, ge=1, le=9)
    """Most shapes in one image, all of the image's class, smaller where there are several."""
    tint: float = Field(default=0.2, ge=0, le=1)
    """Greatest saturation of colours; 0 is grey. Every image draws its own saturation and hue."""
    plasma_share: float = Field(default=0.0, ge=0, le=1)
    """Share of images with a cloudy background; the others are black behind their shapes."""
    plasma_brightness: float = Field(default=0.5, gt=0, le=1)
    """Brightness of the brightest cloud."""
    light_share: float = Field(default=0.0, ge=0, le=1)
    """Share of images that are turned into their negative: dark shapes on light ground."""
    least_filled: float = Field(default=0.1, ge=0, le=0.9)
    """Share of its pixels that a class must draw; the numbers of one that draws less are drawn again."""
    formula_seed: int = Field(default=0, ge=0)
    """Other seeds give other classes and other renderings."""
