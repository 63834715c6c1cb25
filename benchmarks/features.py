"""How fast features are taken, beside the plain ways, in one run and on the same images.

usage: python -m benchmarks.features [--json] [--only NAME …] [--repeats 1] [--smoke]

Parts: `store` (from a folder of JPEG files to vectors on disk), `stopping` (in the middle of the network), `runtimes`
(images per second of each, with its agreement), `memory` (from 5,000 to 50,000 images). Images and weights are
generated; nothing is needed but the machine. What is compared takes turns.
"""

from benchmarks.features_parts.memory import store_memory
from benchmarks.features_parts.runtimes import runtime_speed
from benchmarks.features_parts.stopping import stopping_cost
from benchmarks.features_parts.store_speed import store_speed
from benchmarks.parts import run_parts

PARTS = {"store": store_speed, "stopping": stopping_cost, "runtimes": runtime_speed, "memory": store_memory}

if __name__ == "__main__":
    run_parts(PARTS, description=__doc__)
