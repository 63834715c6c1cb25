"""How many formula images one core renders in a second: each family, the default mix, and several shapes on clouds."""

import time
from typing import Any

from benchmarks.figures import summary, tell
from vitrail.data.formula.rendering import formula_class, formula_image
from vitrail.data.formula.settings import FormulaSettings

IMAGE_SIZES = (64, 96)
CLASSES, RENDERINGS = 100, 8
ROUNDS = 3


def rendering_speed(repeats: int, smoke: bool) -> dict[str, Any]:
    """Images per second of processor time, and milliseconds of it to draw the numbers of a class.

    What is compared takes turns.
    """
    classes, sizes = (6, IMAGE_SIZES[:1]) if smoke else (CLASSES, IMAGE_SIZES)
    ways = {f"{name}, {size} px": settings for size in sizes for name, settings in _ways(classes, size).items()}
    images: dict[str, list[float]] = {name: [] for name in ways}
    drawing: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(1 if smoke else ROUNDS * repeats):
        formula_class.cache_clear()
        for name, settings in ways.items():
            started = time.process_time()
            for number in range(classes):
                formula_class(settings, number)
            drawn = time.process_time()
            for number in range(classes * RENDERINGS):
                formula_image(settings, number % classes, number // classes)
            drawing[name].append(1000 * (drawn - started) / classes)
            images[name].append(classes * RENDERINGS / (time.process_time() - drawn))
        tell(f"turn {turn + 1}: " + ", ".join(f"{name} {rates[-1]:.0f}" for name, rates in images.items()))
    return {
        "images_per_second_and_core": {name: summary(rates) for name, rates in images.items()},
        "milliseconds_to_draw_a_class": {name: summary(times) for name, times in drawing.items()},
    }


def _ways(classes: int, size: int) -> dict[str, FormulaSettings]:
    mix = FormulaSettings(classes=classes, renderings=RENDERINGS, image_size=size)
    return {
        **{family: mix.model_copy(update={"families": (family,)}) for family in mix.families},
        "the default mix": mix,
        "up to 4 shapes on clouds": mix.model_copy(update={"shapes_per_image": 4, "plasma_share": 1.0}),
    }
