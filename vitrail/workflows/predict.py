"""`vitrail predict`: a package and some images to answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitrail.basics.events import Emit, Noted, nobody
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.prediction.answers import Prediction, Unreadable
from vitrail.prediction.likeness import unlike_sentence
from vitrail.prediction.predictor import load
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.prediction.several_views import ViewSettings
from vitrail.rollout.versioned_package import package_or_version


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
    answer where that was left open; behind the last one, how many images are unlike those that the package knows.

    Raises:
        PackageError: the package is damaged, too new, or no package.
        InputError: an image's path does not exist, or the runtime cannot be used.
        SystemFault: the runtime is not installed.
    """
    predictor = load(package_or_version(package), device=device, runtime=runtime)
    told = runtime == EXACT.name
    if tta is not None:
        emit(Noted(f"tta      {tta.words}; {len(tta.views)} times the work"))
    if predictor.reference is None and ShiftReference.name in predictor.package.parts:
        emit(Noted(f"warning: unlike images are not told: {predictor.why_no_reference}", level="warning"))
    asked = unlike = 0
    for answer in predictor.stream(images, workers=workers, tta=tta):
        if not told and predictor.choice is not None:
            emit(Noted(f"runtime  {predictor.choice.reason}"))
            told = True
        if isinstance(answer, Prediction) and answer.likeness is not None:
            asked, unlike = asked + 1, unlike + bool(answer.unlike)
        yield answer
    if predictor.reference is not None and (sentence := unlike_sentence(unlike, asked, predictor.reference.held_out)):
        emit(Noted(sentence))
