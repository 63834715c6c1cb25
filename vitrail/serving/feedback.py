"""The truth about an image, told after it was answered."""

import json
from dataclasses import dataclass

from vitrail.serving.refusals import Refusal

LONGEST_TOLD = 256
"""Characters of either."""


@dataclass(frozen=True, slots=True)
class ToldTruth:
    """Which request, and the class that its image really shows."""

    request_id: str
    truth: str


def told_truth(content: bytes) -> ToldTruth:
    """What a body says: `{"request_id": "…", "truth": "ants"}`.

    Raises:
        Refusal: it says something else.
    """
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or set(told) != {"request_id", "truth"}:
        raise Refusal("bad_request", "request_id and truth were expected", hint='{"request_id": "…", "truth": "ants"}')
    for name, value in told.items():
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TOLD:
            raise Refusal("bad_request", f"{name} is no text of 1 to {LONGEST_TOLD} characters")
    return ToldTruth(told["request_id"], told["truth"])
