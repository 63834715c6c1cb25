"""The order in which people look for names: 2 before 10."""

import re
import unicodedata
from collections.abc import Iterable, Sequence


def natural_key(name: str) -> tuple:
    """What to sort names by: numbers in them count as numbers, letters without case first.

    Only for showing: the order of logits, and whatever is kept in files, is never taken from this.

    >>> sorted(["10", "2", "1", "b10", "B9"], key=natural_key)
    ['1', '2', '10', 'B9', 'b10']
    """
    pieces = re.split(r"([0-9]+)", unicodedata.normalize("NFC", name))
    # Pieces alternate between text and digits, so two names are compared like with like; ties are settled by the name.
    return [(int(piece[:4000]), "") if index % 2 else (0, piece.casefold()) for index, piece in enumerate(pieces)], name


def natural_places(names: Sequence[str]) -> list[int]:
    """The places of names in the order in which they are shown.

    >>> natural_places(["1", "10", "2"])
    [0, 2, 1]
    """
    return sorted(range(len(names)), key=lambda place: natural_key(names[place]))


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Names as they are shown."""
    return sorted(names, key=natural_key)
