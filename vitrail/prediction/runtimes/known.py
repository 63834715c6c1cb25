"""Every runtime there is, by name."""

import importlib.util
from collections.abc import Sequence

import torch

from vitrail.basics.errors import InputError, SystemFault, did_you_mean
from vitrail.prediction.runtimes.converted import ConvertedRuntime
from vitrail.prediction.runtimes.onnx_library import OnnxRuntime
from vitrail.prediction.runtimes.openvino_library import OpenVINO
from vitrail.prediction.runtimes.runtime import Runtime
from vitrail.prediction.runtimes.torch_runtime import COMPILED, EAGER

CONVERTED: tuple[ConvertedRuntime, ...] = (
    ConvertedRuntime(OpenVINO(), "float32"),
    ConvertedRuntime(OpenVINO(), "bfloat16"),
    ConvertedRuntime(OnnxRuntime(), "float32"),
)
RUNTIMES: tuple[Runtime, ...] = (*EAGER, COMPILED, *CONVERTED)

LIBRARIES = tuple(dict.fromkeys(runtime.library for runtime in RUNTIMES))


def named_runtime(name: str) -> Runtime:
    """The runtime with this full name, e.g. `openvino bfloat16`; whether it is installed shows when it is applied.

    Raises:
        InputError: there is none of that name.
    """
    for runtime in RUNTIMES:
        if runtime.name == name:
            return runtime
    names = [runtime.name for runtime in RUNTIMES]
    words = ["auto", *LIBRARIES]
    nearest = did_you_mean(name, [*words, *names])
    raise InputError(
        f"there is no runtime {name!r}" + (f": {nearest}" if nearest else ""),
        hint=f"one of {', '.join(words)}, or by its full name {', '.join(names)}",
    )


def known_name(asked: str) -> str:
    """What was asked for, if it can be: `auto`, a library, or a runtime's full name.

    Raises:
        InputError: there is no such runtime.
    """
    return asked if asked in ("auto", *LIBRARIES) else named_runtime(asked).name


def candidates(asked: str, *, exact: bool, device: torch.device) -> Sequence[Runtime]:
    """The runtimes that may be meant.

    Args:
        asked: `auto` (all that are installed and run on this device), a library (its own), or a full name.
        exact: only those that compute in float32, unless a full name was given. A compiled torch is only ever meant by
            its full name: what it takes to prepare is seldom won back.
        device: where the model is to be run.

    Raises:
        InputError: there is no such runtime.
    """
    if asked == "auto":
        others = [each for each in CONVERTED if device.type == "cpu" and is_installed(each)]
        possible: Sequence[Runtime] = [*EAGER, *others]
    elif asked in LIBRARIES:
        possible = [each for each in RUNTIMES if each.library == asked and each != COMPILED]
    else:
        return (named_runtime(asked),)
    return [each for each in possible if each.exact or not exact]


def still_installed(name: str, *, thing: str) -> Runtime:
    """The runtime that something was begun with.

    Args:
        name: in full, as it was journaled.
        thing: what was begun, for the message.

    Raises:
        SystemFault: it is not installed any more.
    """
    runtime = named_runtime(name)
    if not is_installed(runtime):
        raise SystemFault(
            f"{thing} was begun with {name}, and {runtime.library} is not installed any more",
            hint=f"pip install 'vitrail[{runtime.library}]', or begin anew with --overwrite",
        )
    return runtime


def is_installed(runtime: Runtime) -> bool:
    """Whether what it needs can be found; importing it may still fail."""
    packages = runtime.of.packages if isinstance(runtime, ConvertedRuntime) else ()
    return all(importlib.util.find_spec(package) is not None for package in packages)
