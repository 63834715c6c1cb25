"""Attention in timm's networks is a fused kernel of PyTorch, or written out, which rounds otherwise."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn


def write_out_attention(model: nn.Module) -> list[Any]:
    """Have attention written out from now on; the modules whose attention was fused until then."""
    modules: list[Any] = [module for module in model.modules() if getattr(module, "fused_attn", False)]
    for module in modules:
        module.fused_attn = False
    return modules


@contextlib.contextmanager
def written_out_attention(model: nn.Module) -> Iterator[None]:
    """In this block attention is written out; afterwards it is as it was."""
    switched = write_out_attention(model)
    try:
        yield
    finally:
        for module in switched:
            module.fused_attn = True
