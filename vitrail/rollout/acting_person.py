"""Who does something to a version, where nobody said it."""

import getpass


def acting_person(named: str | None) -> str:
    """Whoever was named, else whom this machine knows as its user."""
    if named and named.strip():
        return named.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without names
        return "unknown"
