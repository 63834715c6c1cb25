"""`vitrail predict`: a package and some images to answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitrail.prediction.predictor import Prediction, Unreadable, load
from vitrail.prediction.runtimes.torch_runtime import EXACT


def predict(
    package: str | Path,
    images: Any,
    *,
    device: str = "auto",
    runtime: str = EXACT.name,
    workers: int | None = None,
) -> Iterator[Prediction | Unreadable]:
    """One answer per image, in order and as they are ready; an unreadable image is an answer too.

    Raises:
        PackageError: the package is damaged, too new, or no package.
        InputError: an image's path does not exist, or the runtime cannot be used.
        SystemFault: the runtime is not installed.
    """
    yield from load(package, device=device, runtime=runtime).stream(images, workers=workers)
