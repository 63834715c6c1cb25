"""Draws the pictures of `docs/formula_images.md`: every row is a class, every column a rendering of it.

usage: python docs/draw_formula_images.py [FOLDER]   (default: docs/)
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.data.formula.rendering import formula_image
from vitrail.data.formula.settings import FAMILIES, FormulaSettings

CLASSES, RENDERINGS, SIZE, GAP = 9, 6, 80, 4

PICTURES = {
    **{family: FormulaSettings(families=(family,), image_size=SIZE) for family in FAMILIES},
    "several": FormulaSettings(image_size=SIZE, shapes_per_image=4, plasma_share=0.7, tint=0.6, light_share=0.2),
}


def picture(settings: FormulaSettings) -> Image.Image:
    """Classes from top to bottom, renderings from left to right."""
    grid = np.full((CLASSES * (SIZE + GAP) - GAP, RENDERINGS * (SIZE + GAP) - GAP, 3), 255, np.uint8)
    for row in range(CLASSES):
        for column in range(RENDERINGS):
            top, left = row * (SIZE + GAP), column * (SIZE + GAP)
            grid[top : top + SIZE, left : left + SIZE] = formula_image(settings, row, column)
    return Image.fromarray(grid)


def draw(folder: Path) -> None:
    """Write all pictures, with 128 colours each to keep the files small."""
    for name, settings in PICTURES.items():
        picture(settings).quantize(128).save(folder / f"formula_{name}.png", optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
