"""The command line that benchmarks made of parts share."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.figures import tell

Part = Callable[[int, bool], dict[str, Any]]
"""Measures something: takes how often (1: enough to see) and whether sizes are tiny, gives figures by name."""


def run_parts(parts: Mapping[str, Part], *, description: str | None) -> None:
    """Run the parts that the command line asks for and print their figures."""
    asked = _arguments(parts, description)
    figures = {}
    for name in asked.only:
        tell(f"== {name}")
        figures[name] = parts[name](asked.repeats, asked.smoke)
    print(json.dumps(figures, indent=2) if asked.json else _table(figures))


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


def _arguments(parts: Mapping[str, Part], description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts), metavar="NAME", help="parts to run")
    parser.add_argument("--repeats", type=int, default=1, help="everything is measured so many times as often")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: whether it runs, not how fast")
    return parser.parse_args()
