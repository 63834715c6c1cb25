"""How many images are computed at once: fewer after memory ran out, at the same steps when a run is repeated."""

from collections.abc import Callable
from typing import Any

import torch

from vitrail.basics.errors import SystemFault

Note = Callable[..., None]
"""Writes a decision to the run's journal, on disk before it returns."""


class Portions:
    """The most images that are computed at once, by step.

    Args:
        first: before any halving.
        halvings: lines of the journal, oldest first: from `stage` and `step` on, `images` at once.
        note: writes such a line, called with `images_at_once`.
    """

    def __init__(self, first: int, halvings: list[dict[str, Any]], note: Note) -> None:
        self._first = first
        self._halvings = [((line["stage"], line["step"]), line["images"]) for line in halvings]
        self._note = note

    def at(self, stage: int, step: int) -> int:
        """The most images at once in this step."""
        return min([self._first, *(images for place, images in self._halvings if place <= (stage, step))])

    def halve(self, stage: int, step: int, most: int, error: BaseException, *, divisible: bool = True) -> int:
        """Decide, before the step is tried again, that half as many are computed at once from it on.

        Raises:
            SystemFault: one image alone does not fit, or the step cannot be computed in parts.
        """
        if not divisible:
            raise SystemFault(
                f"memory does not suffice for a step, and this loss cannot be computed in parts: "
                f"{str(error).splitlines()[0]}",
                hint="take fewer --set images_per_step, a smaller model or --image-size",
            ) from error
        if most == 1:
            raise SystemFault(
                f"memory does not suffice for a single image: {str(error).splitlines()[0]}",
                hint="choose a smaller model or --image-size, or --set gradient_checkpointing=true",
            ) from error
        half = (most + 1) // 2
        self._note("images_at_once", stage=stage, step=step, images=half)
        self._halvings.append(((stage, step), half))
        return half


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the processor (where torch raises a plain RuntimeError)."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    words = ("can't allocate memory", "out of memory", "bad_alloc")
    return isinstance(error, RuntimeError) and any(each in text for each in words)
