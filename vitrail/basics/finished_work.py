"""Work that is done once: its result is kept in a file under the name of what it depends on."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitrail.basics.checks import read_checked_json, write_checked_json
from vitrail.basics.errors import DamagedError
from vitrail.basics.events import Emit, Recovered, nobody

FORMAT = 2
"""Version of what a finished run holds; raised when earlier ones lack something."""


def work_key(*facts: Any) -> str:
    """Changes when anything does that a finished run depends on, so that runs are kept and never mixed up."""
    return hashlib.sha256(json.dumps([FORMAT, *facts], sort_keys=True).encode()).hexdigest()[:12]


def done_once(file: Path, work: Callable[[], dict[str, Any]], *, emit: Emit = nobody) -> dict[str, Any]:
    """What `work` gives: read from `file` where an earlier call finished it, else done now and written.

    A file that is not what was written is told of, and its work done again.
    """
    hint = "remove it and run the same command again"
    if file.exists():
        try:
            return read_checked_json(file, hint=hint)
        except DamagedError as error:
            emit(Recovered(f"damaged  {error.message}: that run is done again"))
    write_checked_json(file, work())
    return read_checked_json(file, hint=hint)
