"""`vitrail predict`: a package and some images to answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitrail.basics.events import Emit, Noted, nobody
from vitrail.prediction.answers import Prediction, Unreadable
from vitrail.prediction.predictor import load
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.prediction.several_views import ViewSettings


def predict(
    package: str | Path,
    images: Any,
    *,
    device: str = "auto",
    runtime: str = EXACT.name,
    workers: int | None = None,
    tta: ViewSettings | None = None,
    emit: Emit = nobody,
) -> Iterator[Prediction | Unreadable]:
    """One answer per image, in order and as they are ready; an unreadable image is an answer too.

    With `tta` every answer comes from several views. Which runtime was taken, and why, is emitted before the first
    answer where that was left open.

    Raises:
        PackageError: the package is damaged, too new, or no package.
        InputError: an image's path does not exist, or the runtime cannot be used.
        SystemFault: the runtime is not installed.
    """
    predictor = load(package, device=device, runtime=runtime)
    told = runtime == EXACT.name
    if tta is not None:
        emit(Noted(f"tta      {tta.words}; {len(tta.views)} times the work"))
    for answer in predictor.stream(images, workers=workers, tta=tta):
        if not told and predictor.choice is not None:
            emit(Noted(f"runtime  {predictor.choice.reason}"))
            told = True
        yield answer
