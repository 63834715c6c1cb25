"""Loss scaling: in float16, gradients below 6e-8 vanish, so the loss is multiplied before the backward pass."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

FIRST_SCALE = 2.0**16
GROWTH, BACKOFF, STEPS_TO_GROW = 2.0, 0.5, 2000
"""Source of these four: the defaults of `torch.amp.GradScaler`, torch 2.11."""
LARGEST_SCALE = 2.0**127
"""Doubled once more it would be infinite, and would stay so however often it is halved."""


class NoLossScale(nn.Module):
    """For arithmetic in which gradients are not lost: nothing is scaled."""

    def backward(self, loss: Float[Tensor, ""]) -> None:
        """Leave the gradient of the loss in the parameters."""
        loss.backward()

    def unscale(self, gradients: Sequence[Tensor]) -> None:
        """Give gradients the size they have without scaling, in place."""

    def searching(self, overflow: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """1 where an overflow of the gradient is part of the search for a scale, 0 where a step is lost."""
        return torch.zeros_like(overflow)

    def follow(self, overflow: Float[Tensor, ""]) -> None:
        """Learn from a step whether the scale may grow or must fall."""


class LossScale(NoLossScale):
    """A scale that falls whenever gradients overflow and grows while they do not; it is searched for from above.

    It lives on the device and nothing waits for it; its buffers are in the checkpoint. A step that overflows is skipped
    and is part of the search as long as the scale is above 1.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.scale: Tensor
        self.good_steps: Tensor
        self.register_buffer("scale", torch.full((), FIRST_SCALE, device=device))
        self.register_buffer("good_steps", torch.zeros((), device=device))

    def backward(self, loss: Float[Tensor, ""]) -> None:
        """Leave the gradient of the loss, times the scale, in the parameters."""
        (loss * self.scale).backward()

    def unscale(self, gradients: Sequence[Tensor]) -> None:
        """Divide by the scale, in place."""
        if gradients:
            torch._foreach_div_(list(gradients), self.scale)

    def searching(self, overflow: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """1 where the gradient overflowed and the scale can still fall."""
        return overflow * (self.scale > 1).float()

    def follow(self, overflow: Float[Tensor, ""]) -> None:
        """Halve the scale after an overflow, down to 1; double it after many steps without one."""
        good_steps = torch.where(overflow.bool(), 0.0, self.good_steps + 1)
        grown = good_steps >= STEPS_TO_GROW
        factor = torch.where(overflow.bool(), BACKOFF, torch.where(grown, GROWTH, 1.0))
        self.scale.mul_(factor).clamp_(1.0, LARGEST_SCALE)
        self.good_steps.copy_(torch.where(grown, 0.0, good_steps))
