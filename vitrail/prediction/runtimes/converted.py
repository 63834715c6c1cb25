"""Runtimes of other libraries: the model is converted once, kept on disk, and compared with torch before it is used."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from vitrail.basics.errors import InputError, VitrailError
from vitrail.basics.quiet import quiet
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.inputs import Inputs, Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.runtimes.agreement import agreement_of, refuse_disagreement
from vitrail.prediction.runtimes.cache import cached
from vitrail.prediction.runtimes.fingerprint import fingerprint
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS, Forward, Readout, in_evaluation
from vitrail.prediction.runtimes.torch_runtime import EXACT

Run = Callable[[np.ndarray], list[np.ndarray]]
"""A batch in, what is read of it out; called by several threads at once."""

TRACED_IMAGES = 2
"""Images that a model is converted with: not 1, which converters take for a constant, and rarely the first batch's
number, so that comparing this batch with torch finds a model in which the number of images became one."""

_converting = threading.Lock()
"""Held while a model is converted: torch's tracers are for one thread at a time, whichever models are converted."""


@runtime_checkable
class Library(Protocol):
    """What a library must do to be a runtime."""

    @property
    def name(self) -> str:
        """Of the library; also of the extra that installs it."""

    @property
    def packages(self) -> tuple[str, ...]:
        """What must be installed; another version converts again."""

    def require(self, precision: str) -> None:
        """Raise a `SystemFault` where it is not installed, or where the processor lacks this precision."""

    def convert(self, module: nn.Module, example: Tensor, folder: Path) -> None:
        """Write `module`, for any number of images like `example`, into files in `folder`."""

    def opened(self, folder: Path, *, precision: str, callers: int, cores: int) -> Run:
        """Make what `convert` wrote ready for so many threads at once, which share so many cores."""


@dataclass(frozen=True)
class ConvertedRuntime:
    """A library that runs a converted model on the processor, see `Runtime`.

    Attributes:
        of: the library.
        precision: `float32` or `bfloat16`.
    """

    of: Library
    precision: str

    @property
    def name(self) -> str:
        """The library's name and the precision."""
        return f"{self.of.name} {self.precision}"

    @property
    def library(self) -> str:
        """The library's name."""
        return self.of.name

    @property
    def exact(self) -> bool:
        """Whether it computes in float32."""
        return self.precision == "float32"

    @contextlib.contextmanager
    def applied(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        device: torch.device,
        *,
        readout: Readout = FEATURES_AND_LOGITS,
        callers: int = 1,
    ) -> Iterator[Forward]:
        """A function from pixels to what `readout` reads. Its first call converts the model, unless that was done
        before, and compares the answers with torch's in float32."""
        if device.type != "cpu":
            raise InputError(
                f"{self.name} runs on the processor, not on {device}", hint="use the device cpu, or the runtime torch"
            )
        self.of.require(self.precision)
        with in_evaluation(model, device):
            yield _Session(self, model, preprocessing, readout, callers)


class _Session:
    """A model that is being used: converted for the shape of the first input it is given, and checked on it."""

    def __init__(
        self, runtime: ConvertedRuntime, model: nn.Module, preprocessing: Preprocessing, readout: Readout, callers: int
    ) -> None:
        self._runtime, self._model, self._preprocessing = runtime, model, preprocessing
        self._readout, self._callers = readout, callers
        self._cores = torch.get_num_threads()  # here: a thread that calls may be kept to one core
        self._lock = threading.Lock()
        self._run: Run | None = None

    def __call__(self, given: Inputs) -> tuple[Tensor, ...]:
        array = np.ascontiguousarray(given.values if isinstance(given, Pixels) else given.values.float().numpy())
        with self._lock:
            run = self._run = self._run or self._checked(array, given)
        return _tensors(run(array))

    def _checked(self, array: np.ndarray, given: Inputs) -> Run:
        run = self._opened(array)
        answers, cpu = _tensors(run(array)), torch.device("cpu")
        with EXACT.applied(self._model, self._preprocessing, cpu, readout=self._readout) as exact:
            found = agreement_of(answers, exact(given), features=self._readout.features)
        refuse_disagreement(self._runtime.name, found, exact=self._runtime.exact)
        return run

    def _opened(self, array: np.ndarray) -> Run:
        of = self._runtime.of
        pixels = array.dtype == np.uint8
        module = _Whole(self._model, self._readout, self._preprocessing if pixels else None)
        example = torch.zeros(TRACED_IMAGES, *array.shape[1:], dtype=torch.uint8 if pixels else torch.float32)
        try:
            with quiet(), torch.no_grad():  # converters announce their own future, and whom they call does too
                with _converting:
                    folder = cached(self._key(array), lambda place: of.convert(module, example, place))
                return of.opened(folder, precision=self._runtime.precision, callers=self._callers, cores=self._cores)
        except VitrailError:
            raise
        except Exception as error:  # whatever a converter raises means the same
            raise InputError(
                f"{of.name} cannot run {type(self._model).__name__}: {_brief(error)}",
                hint="use the runtime torch for this model",
            ) from error

    def _key(self, array: np.ndarray) -> dict[str, Any]:
        shown = self._preprocessing
        return {
            "library": self._runtime.of.name,
            "model": fingerprint(self._model),
            "readout": self._readout.name,
            "input": [str(array.dtype), *array.shape[1:]],
            "normalised": [list(shown.mean), list(shown.std)] if array.dtype == np.uint8 else None,
            "versions": {name: version(name) for name in ("vitrail", "torch", "timm", *self._runtime.of.packages)},
        }


class _Whole(nn.Module):
    """Normalisation, model and readout as one module."""

    def __init__(self, model: nn.Module, readout: Readout, preprocessing: Preprocessing | None) -> None:
        super().__init__()
        self.model = model
        self._read = readout(model)
        self._normalise = preprocessing and Normalise(preprocessing, torch.device("cpu"))
        self.training = False

    def forward(self, given: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._read(self._normalise(Pixels(given)) if self._normalise else given))


def _brief(error: BaseException) -> str:
    """The line that says why, of texts that are pages long: it is the first one's, at the end of a chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip("- ") for line in str(error).splitlines() if line.strip() and not line.startswith("Check ")]
    missing = (line for line in lines if line.startswith("No conversion rule"))  # OpenVINO's summary stands last
    return next(missing, lines[0] if lines else type(error).__name__)[:300]


def _tensors(arrays: list[np.ndarray]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(each).float() for each in arrays)
