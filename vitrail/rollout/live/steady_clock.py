"""How much time passed between two ticks, also where another process made the first one."""

import uuid
from pathlib import Path

from vitrail.basics.clock import Clock

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_THIS_PROCESS = uuid.uuid4().hex


def this_boot() -> str:
    """Which start of which machine this is; where the system does not tell, this process, whose clock is its own."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return _THIS_PROCESS


def elapsed_since(clock: Clock, *, boot: str | None, ticked_at: float, now_boot: str) -> float:
    """Seconds since the last tick; 0 where another machine, or another start of this one, made it.

    The steady clock of a machine goes on while no conductor runs, so that time counts over a restart of it. That of
    another one began elsewhere: then the time between is not known, and nothing is taken for granted.
    """
    return max(0.0, clock.monotonic() - ticked_at) if boot == now_boot else 0.0
