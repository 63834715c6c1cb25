"""How fast pretraining on formula images is: rendering, steps, waiting.

usage: python -m benchmarks.pretrain [--json] [--only NAME …] [--repeats 1] [--smoke]

Parts: `rendering` (formula images per second), `step` (trained images per second, against plain loops), `waiting` (the
share of a real run's time that its steps wait for images). What is compared takes turns; ratios are medians of ratios
within a turn, with bootstrap 95 % intervals.
"""

from benchmarks.parts import run_parts
from benchmarks.pretrain_parts.rendering import rendering_speed
from benchmarks.pretrain_parts.step import step_speed
from benchmarks.pretrain_parts.waiting import waiting_share

PARTS = {"rendering": rendering_speed, "step": step_speed, "waiting": waiting_share}

if __name__ == "__main__":
    run_parts(PARTS, description=__doc__)
