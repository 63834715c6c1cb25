"""Seeds: numbers derived from a name and a seed, the same on every machine and in every process."""

import hashlib


def derived_seed(seed: int, *parts: object, rank: int = 0) -> int:
    """A 63-bit seed for the thing that `parts` name, e.g. `derived_seed(0, "shuffle", epoch)`.

    Source: SHA-256 of the parts' text; unlike `hash()` it does not depend on the process.

    Args:
        seed: of the run.
        parts: what is drawn.
        rank: of the process among those that share the work, for what each is to draw differently; the first one draws
            what a process alone would.
    """
    text = "\x1f".join([str(seed), *map(str, parts), *([f"rank {rank}"] if rank else [])])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def uniform_from(seed: int, *parts: object) -> float:
    """A number in [0, 1) that depends on `seed` and `parts` alone: a fair coin with a memory."""
    return derived_seed(seed, *parts) / 2**63
