"""How fast a server answers, beside LitServe and bare FastAPI with the same weights, in one run, a core for each side.

usage: python -m benchmarks.serving [--json] [--only NAME …] [--repeats 1] [--smoke]

Parts: `photographs` (a ViT-S/16: as each comes from its quick start, and on the same runtime, 1 to 64 clients),
`nothing` (a model that costs nothing, and our own time around decoding and computing), `overload` (twice the load that
is borne). Servers keep to one core, the load to another; what is compared takes turns. Weights and images are
generated. `VITRAIL_PEERS_PYTHON` is the Python in which `litserve` and `fastapi` are installed; all takes ten minutes.
"""

from benchmarks.parts import run_parts
from benchmarks.serving_parts.nothing import nothing
from benchmarks.serving_parts.overload import overload
from benchmarks.serving_parts.photographs import photographs

PARTS = {"photographs": photographs, "nothing": nothing, "overload": overload}

if __name__ == "__main__":
    run_parts(PARTS, description=__doc__)
