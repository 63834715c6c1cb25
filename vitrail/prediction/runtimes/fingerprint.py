"""A short name for everything that a forward pass depends on."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

_PLAIN = (bool, int, float, str, tuple, list, type(None))


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of a model's tensors, and of the kind and the plain attributes of each of its modules.

    Two models with the same weights may compute different things, with another number of heads, say; that number is an
    attribute. Whether modules are in training mode is left out.
    """
    digest = hashlib.sha256()
    for name, module in model.named_modules():
        digest.update(f"{name} {type(module).__module__}.{type(module).__qualname__}\n".encode())
        for attribute, value in sorted(vars(module).items()):
            if attribute != "training" and (text := _text(value)):
                digest.update(f"{attribute}={text}\n".encode())
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _text(value: Any) -> str:
    """How a plain value is written; nothing for anything else, whose text would hold an address."""
    text = repr(value) if isinstance(value, _PLAIN) else getattr(value, "__qualname__", "")
    return "" if " at 0x" in text else text


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
