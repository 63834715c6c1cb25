"""Weights that were written by another library, under timm's names."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ForeignWeights:
    """The tensors of a file under timm's names, and what was done to them on the way."""

    tensors: dict[str, Tensor]
    dropped: tuple[str, ...]
    """Names in the file that timm's network has no place for."""
    resized: tuple[str, ...]
    """timm names whose values were resampled to the model's size."""
    position_resampling: str | None
    """How the position table was resampled; None where it was taken as it was."""
