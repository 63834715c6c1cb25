"""How fast training is, beside the plain ways, in one run and on the same images.

usage: python -m benchmarks.training [--json] [--only NAME …] [--repeats 1] [--smoke]

Parts: `step` (one optimiser step), `overhead` (our loop), `cache` (the prefix cache), `memory` (gradient
checkpointing), `default_fit` (the whole fit, to equal validation AUC). All but `step` and `memory` need
VITRAIL_REAL_DATA: a folder with `hymenoptera/{train,val}`, `covid_ct/{train,val,test}` and `vit_tiny_in1k` (timm
folder). What is compared takes turns; ratios are medians of ratios within a turn, with bootstrap 95 % intervals.
"""

from benchmarks.parts import run_parts
from benchmarks.training_parts.cache import cache_speed
from benchmarks.training_parts.default_fit import seconds_to_equal_auc
from benchmarks.training_parts.memory import checkpointing_memory
from benchmarks.training_parts.overhead import loop_overhead
from benchmarks.training_parts.step import step_speed

PARTS = {
    "step": step_speed,
    "overhead": loop_overhead,
    "cache": cache_speed,
    "memory": checkpointing_memory,
    "default_fit": seconds_to_equal_auc,
}

if __name__ == "__main__":
    run_parts(PARTS, description=__doc__)
