"""How fast a package answers, to one thread and to many, beside a plain timm loop, in one run and on the same pixels.

usage: python -m benchmarks.prediction [--json] [--only NAME …] [--repeats 1] [--smoke]

Parts: `threads` (images per second of `answers_of`, from 1 and from 8 threads, and of the loop; one image and sixteen
at a time), `overhead` (what `answers_of` takes beside the forward pass). Weights and pixels are generated; nothing is
needed but the machine. What is compared takes turns.
"""

from benchmarks.parts import run_parts
from benchmarks.prediction_parts.overhead import overhead
from benchmarks.prediction_parts.threads import threads

PARTS = {"threads": threads, "overhead": overhead}

if __name__ == "__main__":
    run_parts(PARTS, description=__doc__)
