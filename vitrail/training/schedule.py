"""The learning rate as a function of the step."""

import math


def rate_at(step: int, total_steps: int, warmup_fraction: float, *, floor_fraction: float = 0.0) -> float:
    """Part of the peak learning rate at `step`: a linear rise, then half a cosine down to the floor.

    The rise begins at one warm-up step's worth, never at zero; beyond the last step the floor holds.

    Args:
        step: from 0.
        total_steps: of the whole stage.
        warmup_fraction: part of the steps over which the rate rises.
        floor_fraction: what is left at the end, as a part of the peak.
    """
    warmup = round(total_steps * warmup_fraction)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total_steps - 1 - warmup) if step < total_steps else 1.0
    return floor_fraction + (1 - floor_fraction) * 0.5 * (1 + math.cos(math.pi * done))
