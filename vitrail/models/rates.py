"""Probabilities with which something is left out in training: a share below 1, or off."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_OFF = ("none", "off")


def _off_is_zero(value: Any) -> Any:
    """None, and on the command line `none` or `off`, mean what 0 means."""
    is_off = value is None or (isinstance(value, str) and value.strip().lower() in _OFF)
    return 0.0 if is_off else value


Rate = Annotated[float, BeforeValidator(_off_is_zero), Field(ge=0.0, lt=1.0)]
"""A probability from 0 up to, but without, 1: at 1 nothing would be left."""
