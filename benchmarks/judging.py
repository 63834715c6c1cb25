"""How fast models are judged, beside what anybody would use for it, in one run and on the same numbers.

usage: python -m benchmarks.judging [--json] [--only NAME …] [--repeats 1] [--smoke]

Every module of `benchmarks.judging_parts` that has a function `measured` is a part under its own name; a new one needs
no entry anywhere. Data are generated; nothing is needed but the machine. What is compared takes turns.
"""

import importlib
import pkgutil

from benchmarks import judging_parts
from benchmarks.parts import Part, run_parts


def found_parts() -> dict[str, Part]:
    """What every part measures, by its name."""
    names = sorted(each.name for each in pkgutil.iter_modules(judging_parts.__path__))
    modules = {name: importlib.import_module(f"{judging_parts.__name__}.{name}") for name in names}
    return {name: module.measured for name, module in modules.items() if hasattr(module, "measured")}


if __name__ == "__main__":
    run_parts(found_parts(), description=__doc__)
