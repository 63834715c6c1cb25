"""A GPU that is not there: torch follows shapes and devices, and computes nothing.

Whatever meets a tensor on another device is found without a GPU, in what runs forward.
"""

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch import nn

FAKE = torch.device("cuda", 0)


@contextlib.contextmanager
def fake_gpu() -> Iterator[torch.device]:
    """In this block tensors are fake, on whichever device they are."""
    fake_tensor = pytest.importorskip("torch._subclasses.fake_tensor", reason="this torch has no fake tensors")
    try:
        with fake_tensor.FakeTensorMode(allow_non_fake_inputs=True):
            made = torch.zeros(1, device=FAKE)
    except (RuntimeError, AssertionError) as error:
        pytest.skip(f"torch {torch.__version__} makes no fake tensors of a GPU that is not there: {error}")
    assert made.device == FAKE
    with fake_tensor.FakeTensorMode(allow_non_fake_inputs=True):
        yield FAKE


def on_fake_gpu(module: nn.Module) -> nn.Module:
    """The module with fake parameters and buffers on the GPU, which cannot be moved any more; only within `fake_gpu`.

    They are put in place one by one: torch cannot move what is not there.
    """
    for part in module.modules():
        for name, value in [*part._parameters.items()]:
            if value is not None:
                there = torch.empty(value.shape, dtype=value.dtype, device=FAKE)
                part._parameters[name] = nn.Parameter(there, requires_grad=value.requires_grad)
        for name, value in [*part._buffers.items()]:
            if value is not None:
                part._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device=FAKE)
        part.to = lambda *_, stays=part, **__: stays  # type: ignore[method-assign]
    return module
