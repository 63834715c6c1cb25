"""How fast training is, beside the plain ways, in one run and on the same images.

usage: python -m benchmarks.training [--json] [--only NAME …] [--repeats 1] [--smoke]

Parts: `step` (one optimiser step), `overhead` (our loop), `cache` (the prefix cache), `memory` (gradient
checkpointing), `default_fit` (the whole fit, to equal validation AUC). All but `step` and `memory` need
VITRAIL_REAL_DATA: a folder with `hymenoptera/{train,val}`, `covid_ct/{train,val,test}` and `vit_tiny_in1k` (timm
folder). What is compared takes turns; ratios are medians of ratios within a turn, with bootstrap 95 % intervals.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.figures import tell
from benchmarks.training_parts.cache import cache_speed
from benchmarks.training_parts.default_fit import seconds_to_equal_auc
from benchmarks.training_parts.memory import checkpointing_memory
from benchmarks.training_parts.overhead import loop_overhead
from benchmarks.training_parts.step import step_speed

PARTS: dict[str, Callable[[int, bool], dict[str, Any]]] = {
    "step": step_speed,
    "overhead": loop_overhead,
    "cache": cache_speed,
    "memory": checkpointing_memory,
    "default_fit": seconds_to_equal_auc,
}


def main() -> None:
    """Run the parts that were asked for and print their figures."""
    arguments = _arguments()
    figures = {}
    for name in arguments.only:
        tell(f"== {name}")
        figures[name] = PARTS[name](arguments.repeats, arguments.smoke)
    print(json.dumps(figures, indent=2) if arguments.json else _table(figures))


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name:<84}{value}" for name, value in _lines(figures, ""))


def _lines(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield name, str(value)
    elif "median" in value:
        pairs = f" ({value['low']}-{value['high']}, {value['pairs']} pairs)" if "pairs" in value else ""
        spread = f" ({value['least']}-{value['most']})" if "least" in value else ""
        yield name, f"{value['median']}{pairs}{spread}"
    else:
        for key, inner in value.items():
            yield from _lines(inner, f"{name} / {key}" if name else key)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME", help="parts to run")
    parser.add_argument("--repeats", type=int, default=1, help="everything is measured so many times as often")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: whether it runs, not how fast")
    return parser.parse_args()


if __name__ == "__main__":
    main()
