"""What is measured in a process of its own, so that nothing before it is measured with it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def printed_by(command: Sequence[str], *, folder: Path | None = None) -> str:
    """What a command prints, run in `folder` or where this process is; where it fails, the benchmark ends with its
    words."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def figures_of(module: str, *words: str | Path | int, through: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON that `python -m MODULE WORDS` prints.

    Args:
        module: one of the benchmarks' own.
        words: its arguments.
        through: a command that starts the process instead of this one.
    """
    command = [*through, sys.executable, "-m", module, *map(str, words)]
    figures: dict[str, Any] = json.loads(printed_by(command, folder=ROOT))
    return figures
