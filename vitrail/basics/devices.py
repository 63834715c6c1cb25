"""Devices: where tensors live, by the names that people type."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vitrail.basics.errors import InputError

if TYPE_CHECKING:
    import torch


def chosen_device(name: str = "auto") -> "torch.device":
    """The device called `name`; `auto` is the first GPU, then Apple's, then the processor.

    Raises:
        InputError: the name is no device, or this machine has none of that kind.
    """
    import torch  # this room promises not to import torch until it is needed

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {name!r} is not available here: {str(error).splitlines()[0]}", hint="use --device auto or cpu"
        ) from error
    return device


def computes_in_bfloat16(device: "torch.device") -> bool:
    """Whether this hardware multiplies in bfloat16 itself, so that it is worth trying; it is asked, not timed.

    NVIDIA's GPUs do from Ampere on, AMD's too; x86 processors with AVX512-BF16 or AMX-BF16, ARM's with BF16. Where the
    system does not say (`/proc/cpuinfo` of Linux), and on Apple's GPU, the answer is no.
    """
    import torch  # this room promises not to import torch until it is needed

    if device.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and not _BFLOAT16_FLAGS.isdisjoint(_processor_flags())


@contextlib.contextmanager
def computing_threads(count: int) -> Iterator[None]:
    """In this block torch computes with so many threads; afterwards with as many as before."""
    import torch  # this room promises not to import torch until it is needed

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@functools.cache
def _processor_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    told = [line.partition(":")[2] for line in lines if line.lower().startswith(("flags", "features"))]
    return frozenset(told[0].split()) if told else frozenset()
