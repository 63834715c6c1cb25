"""The predictor: what a package becomes when it is loaded. Images in; classes, probabilities and features out."""

import contextlib
import itertools
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from vitrail.basics.devices import chosen_device
from vitrail.basics.errors import InputError, PackageError, UnreadableImageError
from vitrail.basics.printable import printable
from vitrail.data.given_pictures import ReadPicture, given_pictures, pixels_of_one, read_pictures, refuse_other_pixels
from vitrail.data.picture_views import SeveralViews
from vitrail.models.heads import feature_width
from vitrail.models.package import Package, read_package
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.models.run_package import package_of
from vitrail.prediction.answers import Answers, Prediction, Predictions, Unreadable
from vitrail.prediction.decided import package_decision
from vitrail.prediction.likeness import likenesses, reference_or_reason
from vitrail.prediction.prepared import PreparedModel, prepared_model
from vitrail.prediction.runtimes.choosing import RuntimeChoice
from vitrail.prediction.runtimes.known import known_name
from vitrail.prediction.runtimes.runtime import Workload
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.prediction.sample import sample_pixels
from vitrail.prediction.several_views import ViewSettings, averaged_answers, several_views
from vitrail.prediction.unit_pixels import logits_from_unit_pixels


class Predictor:
    """A package ready for use. Figures in its report were measured in exactly this way, in torch in float32.

    Another runtime is compared with that on the first images it is given, or in `prepare`; `auto` is what suits this
    machine and so many, in float32, and is kept from then on. `choice` says what was chosen and why.

    **Several threads** may use it at once, and each gets, bit for bit, what it would get alone: the model is brought
    into place once, under a lock, and calls are computed one after the other with all cores (see `callers` of
    `prepare`), while other threads decode. The same image in a batch of another size may differ in the last digits.

    `reference` is what the package says of the images it knows, from which every answer has its `likeness`; None where
    it says nothing, and then `why_no_reference` says why. `decision` is how the package makes answers of probabilities;
    None where the most probable class is the answer.

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
        self._width = feature_width(self.model)
        self.reference, self.why_no_reference = reference_or_reason(package)
        self.decision = package_decision(package)
        self._lock = threading.Lock()
        self._prepared: PreparedModel | None = None
        self._opened = contextlib.ExitStack()
        # Left to the garbage collector, a runtime might close when Python is half shut down, and complain.
        weakref.finalize(self, self._opened.close)

    @property
    def asked_runtime(self) -> str:
        """The runtime that was asked for, by its known name."""
        return self._asked

    @property
    def choice(self) -> RuntimeChoice | None:
        """The runtime that is used, and why; None until the first image or `prepare`."""
        return None if (prepared := self._prepared) is None else prepared.choice

    def prepare(self, sample: Any = None, *, images: int = 10**9, callers: int = 1) -> "Predictor":
        """Make ready now what the first images would wait for: choose the runtime, convert, compare, compute once.

        Called again, or by several threads at once, it is done once. It costs one forward pass of the sample in torch;
        where the model is converted, 5 to 10 s for a ViT-S/16, later milliseconds from the cache on disk.

        Args:
            sample: images as for `answers`, on which a runtime is compared with torch in float32: best 32 of those
                that are to come. None: some that are computed from formulas.
            images: how many are to come, for the runtime `auto`; a service has many.
            callers: how many calls are computed at once; further ones wait. 1 uses all cores for one call. With more,
                OpenVINO and ONNX divide the cores among them; torch gives each call as many threads as it is set to.

        Raises:
            InputError: the runtime that was asked for cannot run this model or disagrees with torch.
            SystemFault: it is not installed.
            UnreadableImageError: none of the sample can be read.
        """
        _check_sizes(images=(images, 1), callers=(callers, 1))
        if self._prepared is None:
            pixels = sample_pixels(sample, self.preprocessing)
            self._model_for(pixels, images, callers=callers, warm=True)
        return self

    def needed_reference(self) -> ShiftReference:
        """What the package says of the images that it knows.

        Raises:
            PackageError: nothing that can be used; it is said why.
        """
        if self.reference is None:
            raise self.why_no_reference or PackageError(f"{self.package.folder}: there is no reference")
        return self.reference

    def close(self) -> None:
        """Let go of the runtime and what it holds in memory; the next call prepares again."""
        with self._lock:
            self._prepared = None
            self._opened.close()

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answers(
        self, images: Any, *, batch_size: int = 16, workers: int | None = None, tta: ViewSettings | bool | None = None
    ) -> Iterator[Answers]:
        """What the model says of images, a batch at a time: logits, features, ids, and faults. All else is made of it.

        Memory is that of a few batches, however many images there are. A photograph of 320 pixels costs 2 ms of one
        core to decode (docs/speed.md), and its id 0.06 ms for 100 kB.

        Args:
            images: files, folders, patterns, `(path, frame)`, contents of files as `bytes` (their first frame), Pillow
                images, or uint8 arrays (H, W), (H, W, 3), (H, W, 4); one or many, also an iterator, which is read as
                answers are taken.
            batch_size: images per forward pass.
            workers: processes that decode; None: none for few images, else one per core; 0: this thread.
            tta: test-time augmentation: True or settings for answers from several views (`ViewSettings`, 9 times the
                work); logits are then those of the averaged probabilities, features those of the image as it is.

        Raises:
            InputError: a path does not exist, a size is none, or the runtime that was asked for disagrees with torch.
            PackageError: the model's answer is not a number.
            SystemFault: the runtime that was asked for is not installed.
        """
        _check_sizes(batch_size=(batch_size, 1), workers=(0 if workers is None else workers, 0))
        given = given_pictures(images)
        processes = given.usual_workers() if workers is None else workers
        views = several_views(tta)
        shown = self.preprocessing if views is None else SeveralViews(self.preprocessing, views.views)
        read = read_pictures(given, shown, workers=processes)
        # Of an iterator nobody knows how many it holds: as if they were few, for which the reference is used.
        batches = iter(lambda: list(itertools.islice(read, batch_size)), [])
        return (self._answers(batch, given.count or 0) for batch in batches)

    def answers_of(
        self, pixels: np.ndarray, *, ids: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> Answers:
        """What the model says of pixels as `pixels` gives them, in one forward pass: for servers that make batches.

        Beside the forward pass it takes 0.05 ms for 16 images, and hashes nothing (`benchmarks.prediction`).

        Args:
            pixels: uint8 (B, H, W, C) of the package's size; B may be 0.
            ids: of the images, if they have any.
            names: what errors and predictions call them.

        Raises:
            InputError: pixels, ids or names are not as expected.
            PackageError: the model's answer is not a number.
        """
        refuse_other_pixels(pixels, self.preprocessing)
        count = len(pixels)
        for what, given in (("ids", ids), ("names", names)):
            if given is not None and len(given) != count:
                raise InputError(f"{len(given)} {what} were given for {count} images", hint="give one per image")
        if not count:
            return self._answers([], 0)
        shown = tuple(names or (f"image {number}" for number in range(count)))
        features, logits = self._model_for(pixels, count).answered(pixels, shown)
        return self._said(tuple(ids or [""] * count), tuple(names or [""] * count), logits, features, {})

    def pixels(self, image: Any) -> UInt8[np.ndarray, "H W C"]:
        """One image, of any kind that `answers` takes, as the model sees it: decoded, resized, cropped, in this thread.

        Raises:
            UnreadableImageError: it cannot be read.
            InputError: there is no such file, or these are several.
        """
        return pixels_of_one(image, self.preprocessing)

    def __repr__(self) -> str:
        shown, classes = self.preprocessing, f"{len(self.classes):,} classes, {', '.join(self.classes[:3])}"
        more = ", …" if len(self.classes) > 3 else ""
        return printable(f"predictor of {classes}{more}: {shown.height} × {shown.width} pixels, on {self.device}")

    def predict(
        self, images: Any, *, batch_size: int = 16, workers: int | None = None, tta: ViewSettings | bool | None = None
    ) -> Predictions:
        """Class and probabilities of images, as for `answers`.

        Images that cannot be read are in `unreadable` of what is returned, and a `UserWarning` names the first;
        `stream` gives one result for every image.

        Raises:
            UnreadableImageError: none of the images can be read.
            InputError: a path does not exist, a size is none, or the runtime that was asked for disagrees with torch.
            PackageError: the model's answer is not a number.
            SystemFault: the runtime that was asked for is not installed.
        """
        images = list(images) if isinstance(images, Iterator) else images  # so that it is known how many there are
        results = list(self.stream(images, batch_size=batch_size, workers=workers, tta=tta))
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
        self, images: Any, *, batch_size: int = 16, workers: int | None = None, tta: ViewSettings | bool | None = None
    ) -> Iterator[Prediction | Unreadable]:
        """Like `predict`, one result at a time and in order; an unreadable image is a result too."""
        return itertools.chain.from_iterable(self.answers(images, batch_size=batch_size, workers=workers, tta=tta))

    def logits_from_unit_pixels(self) -> Callable[[Float[torch.Tensor, "B C H W"]], Float[torch.Tensor, "B K"]]:
        """A function from pixels on the scale 0-1 to logits that keeps gradients; see `unit_pixels`."""
        return logits_from_unit_pixels(self)

    def _answers(self, batch: list[tuple[str, ReadPicture]], images: int) -> Answers:
        """One row per image; those that were read are computed together."""
        names, pixels = tuple(name for name, _ in batch), [each.pixels for _, each in batch]
        faults = {row: each.message for row, each in enumerate(pixels) if isinstance(each, UnreadableImageError)}
        rows = [row for row in range(len(batch)) if row not in faults]
        logits = np.full((len(batch), len(self.classes)), np.nan, dtype=np.float32)
        features = np.full((len(batch), self._width), np.nan, dtype=np.float32)
        if rows:
            readable = np.stack([pixels[row] for row in rows])
            several = readable if readable.ndim == 5 else readable[:, None]
            model, called = self._model_for(several[:, 0], images), [names[row] for row in rows]
            features[rows], logits[rows] = averaged_answers(model.answered, several, called, batch_size=len(batch))
        return self._said(tuple(each.id for _, each in batch), names, logits, features, faults)

    def _said(
        self, ids: tuple[str, ...], names: tuple[str, ...], logits: np.ndarray, features: np.ndarray,
        faults: dict[int, str],
    ) -> Answers:  # fmt: skip
        """With what the package says of the images that it knows, and of how answers are made."""
        likeness = likenesses(self.reference, features)
        return Answers(tuple(self.classes), ids, names, logits, features, faults, likeness, self.decision)

    def _model_for(self, pixels: np.ndarray, images: int, *, callers: int = 1, warm: bool = False) -> PreparedModel:
        """What was prepared; whoever comes first prepares on these pixels, and the others wait for it."""
        prepared = self._prepared
        if prepared is not None:
            return prepared
        with self._lock:
            if self._prepared is None:
                workload = Workload(self.model, self.preprocessing, self.device, pixels)
                self._prepared = prepared_model(
                    workload, self._opened, asked=self._asked, images=images, callers=callers, warm=warm
                )
            return self._prepared


def load(package: str | Path, *, device: str = "auto", runtime: str = EXACT.name) -> Predictor:
    """Load a package, verifying every byte of it, into a predictor.

    Args:
        package: its folder, or the run folder that it lies in.
        device: where it is run.
        runtime: `auto`, `torch`, `openvino` or `onnx` (all in float32), or a full name such as `openvino bfloat16`.

    Raises:
        PackageError: the folder is no package, is damaged, or was written by a newer Vitrail, or how it wants answers
            to be made (its part `decision`) cannot be read.
        InputError: there is no such device or runtime.
    """
    if not isinstance(package, str | os.PathLike) or not os.fspath(package):
        raise InputError(f"{package!r} was given as a package, its folder was expected", hint="e.g. runs/NAME/package")
    return Predictor(read_package(package_of(Path(package).expanduser())), device=device, runtime=runtime)


def _check_sizes(**sizes: tuple[int, int]) -> None:
    """Each name has its value and the least that it may be."""
    for name, (value, least) in sizes.items():
        if not isinstance(value, int) or value < least:
            raise InputError(f"{name} is {value!r}, a whole number from {least} on was expected", hint="leave it out")
