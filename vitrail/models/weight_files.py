"""Weights files, read without running anything that is inside them."""

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from timm.models import load_state_dict
from torch import Tensor

from vitrail.basics.errors import InputError
from vitrail.basics.quiet import quiet
from vitrail.models.plain_files import fault_of_file, memory_bytes

Tensors = dict[str, Tensor]
_PICKLE_FAULTS = (
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)


def read_weights(path: Path) -> Tensors:
    """Read a weights file without running anything that is inside it.

    Args:
        path: `.safetensors`, or a PyTorch file (`.pth`, `.pt`, `.bin`, `.tar`) read with `weights_only=True`;
            of a training checkpoint the averaged (EMA) weights are taken where it holds them.

    Returns:
        tensors by name, on the CPU.

    Raises:
        InputError: the file is missing, damaged, holds more than tensors, or holds NaN or infinity.
    """
    check_weights_file(path)
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if not tensors:
        raise InputError(f"{path}: holds no tensors", hint="give a file written by safetensors or torch.save")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(
                f"{path}: {name} holds NaN or infinity, finite weights were expected",
                hint="the training that wrote this file diverged; take an earlier checkpoint",
            )
    return tensors


def check_weights_file(path: Path) -> None:
    """Refuse what is no ordinary file, and what this machine could not hold, before any of it is read.

    Raises:
        InputError: such a file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file", hint="check the path; a folder needs config.json beside it")
    fault = fault_of_file(path, most_bytes=memory_bytes())
    if fault:
        raise InputError(f"{path} {fault}", hint="weights must fit into the memory of this machine")


def _read_safetensors(path: Path) -> Tensors:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError) as error:
        raise InputError(
            f"{path}: not a readable safetensors file ({error})",
            hint="download it again; a PyTorch file keeps its own suffix, e.g. .pth",
        ) from error


def _read_pickle(path: Path) -> Tensors:
    try:
        with quiet(UserWarning):  # torch's remarks on odd pickles; refusal says it better
            content = load_state_dict(str(path), weights_only=True)
    except _PICKLE_FAULTS as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: not a file of tensors alone, nothing in it was run ({first_line})",
            hint="convert it to .safetensors where you trust it, and give that file",
        ) from error
    found = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    for outer, inner in content.items():  # {"student": {…}, "teacher": {…}}: told apart by their names' beginning
        if isinstance(inner, Mapping):
            found |= {f"{outer}.{name}": value for name, value in inner.items() if isinstance(value, Tensor)}
    return found
