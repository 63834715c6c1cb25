"""The built-in data set: scikit-learn's 1,797 real handwritten digits of 8 × 8 pixels, no download."""

from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.basics.files import cache_folder, explained_os_errors

_MARK = "complete"


def digits_folder() -> Path:
    """Folder of the digits as PNG files, one folder per digit; written on the first call.

    Source: the UCI test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", 1998,
    as `sklearn.datasets.load_digits` ships it. The 17 grey levels 0-16 are spread over 0-255.
    """
    folder = cache_folder() / "digits"
    if not (folder / f".{_MARK}").exists():
        with explained_os_errors(folder):
            _write(folder)
    return folder


def _write(folder: Path) -> None:
    from sklearn.datasets import load_digits  # takes a second, and is needed once per machine

    digits = load_digits()
    pictures = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    for index, (picture, label) in enumerate(zip(pictures, digits.target, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{index:04d}.png")
    (folder / f".{_MARK}").touch()
