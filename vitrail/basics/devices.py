"""Devices: where tensors live, by the names that people type."""

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
