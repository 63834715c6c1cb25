"""The predictor: what a package becomes when it is loaded. Images in; classes, probabilities and features out."""

import contextlib
import itertools
import os
import warnings
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from vitrail.basics.devices import chosen_device
from vitrail.basics.errors import InputError, PackageError, UnreadableImageError
from vitrail.data.frames import places_in
from vitrail.data.image_paths import image_paths
from vitrail.data.loader import Picture, pixels_or_faults
from vitrail.data.workers import usable_cores
from vitrail.models.inputs import Pixels
from vitrail.models.package import Package, read_package
from vitrail.models.run_package import package_of
from vitrail.prediction.runtimes.choosing import RuntimeChoice, choose_runtime
from vitrail.prediction.runtimes.known import LIBRARIES, known_name
from vitrail.prediction.runtimes.runtime import Forward, Workload
from vitrail.prediction.runtimes.torch_runtime import EXACT


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image.

    Attributes:
        path: the image's file; empty for an image in memory.
        label: the most probable class.
        probability: its probability, 0-1.
        probabilities: every class's probability, in the package's order; they sum to 1.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Plain values, probabilities with seven decimals."""
        rounded = {name: round(value, 7) for name, value in self.probabilities.items()}
        return {
            "path": self.path,
            "label": self.label,
            "probability": round(self.probability, 7),
            "probabilities": rounded,
        }


@dataclass(frozen=True)
class Unreadable:
    """An image of which nothing can be said, and why."""

    path: str
    reason: str


class Predictions(list[Prediction]):
    """A list of predictions, in the order of the images, of those that could be read.

    Attributes:
        unreadable: the others, and why. Where it is not empty, place i in the list is not the i-th image: every
            prediction says its path.
    """

    def __init__(self, predictions: Iterable[Prediction] = (), unreadable: Iterable[Unreadable] = ()) -> None:
        super().__init__(predictions)
        self.unreadable = tuple(unreadable)


class Predictor:
    """A package ready for use. Figures in its report were measured in exactly this way, in torch in float32.

    Another runtime is compared with that on the first images it is given; `auto` is what suits this machine and so
    many, in float32, and is kept from then on. `choice` says what was chosen and why.

    >>> predictor = vitrail.load("runs/ants/package")      # doctest: +SKIP
    >>> predictor.predict("photo.jpg")[0].label            # doctest: +SKIP
    'ants'
    """

    def __init__(self, package: Package, *, device: str = "auto", runtime: str = EXACT.name) -> None:
        self._asked = known_name(runtime)  # a misspelled one is refused before anything is loaded
        self.package = package
        self.classes = list(package.classes)
        self.preprocessing = package.preprocessing
        self.device = chosen_device(device)
        self.model = package.load_model().to(self.device)
        self.choice: RuntimeChoice | None = None
        self._forward: Forward | None = None
        self._opened = contextlib.ExitStack()
        # Left to the garbage collector, a runtime might close when Python is half shut down, and complain.
        weakref.finalize(self, self._opened.close)

    def predict(self, images: Any, *, batch_size: int = 16, workers: int | None = None) -> Predictions:
        """Predictions for files, folders, patterns, Pillow images or uint8 arrays (H, W), (H, W, 3); one or many.

        Images that cannot be read are in `unreadable` of what is returned, and a `UserWarning` names the first;
        `stream` gives one result for every image.

        Raises:
            UnreadableImageError: none of the images can be read.
            InputError: a path does not exist, a size is none, or the runtime that was asked for disagrees with torch.
            PackageError: the model's answer is not a number.
            SystemFault: the runtime that was asked for is not installed.
        """
        results = list(self.stream(images, batch_size=batch_size, workers=workers))
        unreadable = [result for result in results if isinstance(result, Unreadable)]
        answers = [result for result in results if isinstance(result, Prediction)]
        if unreadable and not answers:
            raise UnreadableImageError(unreadable[0].reason)
        if unreadable:
            warnings.warn(
                f"{len(unreadable)} of {len(results)} images could not be read and have no prediction, the first: "
                f"{unreadable[0].reason}",
                stacklevel=2,
            )
        return Predictions(answers, unreadable)

    def stream(
        self, images: Any, *, batch_size: int = 16, workers: int | None = None
    ) -> Iterator[Prediction | Unreadable]:
        """Like `predict`, one result at a time and in order; an unreadable image is a result too."""
        _check_sizes(batch_size, workers)
        names, pictures = _pictures(images)
        processes = _processes(len(pictures)) if workers is None else workers
        pixels = zip(names, pixels_or_faults(pictures, self.preprocessing, workers=processes), strict=True)
        while batch := list(itertools.islice(pixels, batch_size)):
            readable = [each for _, each in batch if isinstance(each, np.ndarray)]
            shown = [name for name, each in batch if isinstance(each, np.ndarray)]
            rows = iter(self._answers(np.stack(readable), len(pictures), shown) if readable else ())
            for name, each in batch:
                if isinstance(each, UnreadableImageError):
                    yield Unreadable(name, each.message)
                else:
                    yield self._prediction(name, next(rows))

    def logits(
        self, pixels: UInt8[np.ndarray, "B H W C"]
    ) -> tuple[Float[torch.Tensor, "B D"], Float[torch.Tensor, "B K"]]:
        """Pooled features and logits of preprocessed pixels, in one pass.

        Raises:
            PackageError: one of them is not a number.
        """
        return self._computed(pixels, len(pixels), [f"image {number}" for number in range(len(pixels))])

    def _computed(self, pixels: np.ndarray, images: int, names: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        features, logits = self._running(pixels, images)(Pixels(pixels))
        finite = torch.isfinite(features).all(dim=1) & torch.isfinite(logits).all(dim=1)
        if not finite.all():
            name = names[int(finite.logical_not().nonzero()[0])] or "an image in memory"
            raise PackageError(
                f"the model's answer to {name} is not a number (NaN or infinity): the package is not usable",
                hint="fit again, or take an earlier package",
            )
        return features, logits

    def _answers(self, pixels: np.ndarray, images: int, names: list[str]) -> Float[np.ndarray, "B K"]:
        _, logits = self._computed(pixels, images, names)
        return torch.softmax(logits.double(), dim=1).numpy()

    def _running(self, pixels: np.ndarray, images: int) -> Forward:
        if self._forward is None:
            workload = Workload(self.model, self.preprocessing, self.device, pixels)
            exact = self._asked in ("auto", *LIBRARIES)
            self.choice = choose_runtime(workload, asked=self._asked, images=images, exact=exact)
            self._forward = self._opened.enter_context(workload.applied(self.choice.runtime))
        return self._forward

    def _prediction(self, path: str, probabilities: np.ndarray) -> Prediction:
        best = int(probabilities.argmax())
        named = dict(zip(self.classes, map(float, probabilities), strict=True))
        return Prediction(path, self.classes[best], float(probabilities[best]), named)


def load(package: str | Path, *, device: str = "auto", runtime: str = EXACT.name) -> Predictor:
    """Load a package, verifying every byte of it, into a predictor.

    Args:
        package: its folder, or the run folder that it lies in.
        device: where it is run.
        runtime: `auto`, `torch`, `openvino` or `onnx` (all in float32), or a full name such as `openvino bfloat16`.

    Raises:
        PackageError: the folder is no package, is damaged, or was written by a newer Vitrail.
        InputError: there is no such device or runtime.
    """
    if not isinstance(package, str | os.PathLike) or not os.fspath(package):
        raise InputError(f"{package!r} was given as a package, its folder was expected", hint="e.g. runs/NAME/package")
    return Predictor(read_package(package_of(Path(package).expanduser())), device=device, runtime=runtime)


def _pictures(images: Any) -> tuple[list[str], list[Picture]]:
    one = isinstance(images, str | bytes | os.PathLike | np.ndarray | Image.Image) or not isinstance(images, Iterable)
    several = [images] if one else images
    names: list[str] = []
    pictures: list[Picture] = []
    for image in several:
        if isinstance(image, str | os.PathLike):
            found = [place for path in image_paths([os.fspath(image)]) for place in places_in(path)]
            names += [path for path, _ in found]
            pictures += found
        elif isinstance(image, Image.Image | np.ndarray):
            names.append("")
            pictures.append(image if isinstance(image, Image.Image) else _from_array(image))
        else:
            raise InputError(
                f"an image of type {type(image).__name__} is not understood",
                hint="give a path, a Pillow image or a uint8 array (H, W) or (H, W, 3)",
            )
    return names, pictures


def _from_array(array: np.ndarray) -> Image.Image:
    grey, colour = array.ndim == 2, array.ndim == 3 and array.shape[2] in (3, 4)
    if not array.size or array.dtype != np.uint8 or not (grey or colour):
        raise InputError(
            f"an array of {array.dtype} with shape {array.shape} is no picture",
            hint="give uint8 with shape (H, W), (H, W, 3) or (H, W, 4), values 0-255",
        )
    return Image.fromarray(array)


def _check_sizes(batch_size: int, workers: int | None) -> None:
    for name, value, least in (("batch_size", batch_size, 1), ("workers", 0 if workers is None else workers, 0)):
        if not isinstance(value, int) or value < least:
            raise InputError(f"{name} is {value!r}, a whole number from {least} on was expected", hint="leave it out")


def _processes(images: int) -> int:
    """Worker processes pay off for many images only."""
    return 0 if images < 32 else min(usable_cores(), 16)
