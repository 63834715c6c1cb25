"""The data sets of a study, each under a name of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.data.named_columns import NamedColumns


def named_data_sets(data: Sequence[Any]) -> dict[str, Any]:
    """Data sets by the last part of their path, under which the study tells of them.

    Raises:
        InputError: two of them end in the same name.
    """
    by_name: dict[str, Any] = {}
    for source in data:
        path = Path(NamedColumns.of(source).data)
        if path.stem in by_name:
            raise InputError(
                f"two data sets of the study are called {path.stem!r}; the second is {path}",
                hint="study them one after the other, each with its own --out",
            )
        by_name[path.stem] = source
    return by_name
