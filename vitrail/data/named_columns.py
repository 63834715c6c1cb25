"""Tables in which some columns have names of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vitrail.basics.calls import call_text
from vitrail.basics.errors import InputError, did_you_mean
from vitrail.data.columns import FIXED


def table(data: Any, **columns: str) -> "NamedColumns":
    """A table in which some columns have names of their own: `fit(table("labels.csv", label="dx", group="patient"))`.

    Args:
        data: a CSV or Parquet file, a pyarrow table or a pandas frame.
        columns: its names for any of `path`, `label`, `split`, `group` and `frame`.

    >>> table("labels.csv", label="dx", group="patient")
    vitrail.table("labels.csv", label="dx", group="patient")
    """
    return NamedColumns(data, columns)


@dataclass(frozen=True, repr=False)
class NamedColumns:
    """A table in which some columns of ours have names of their own.

    Attributes:
        data: a CSV or Parquet file, a pyarrow table or a pandas frame.
        names: its name for any of `path`, `label`, `split`, `group` and `frame`.
    """

    data: Any
    names: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return call_text(table, self.data, **self.names)

    @classmethod
    def of(cls, data: Any) -> "NamedColumns":
        """Data as it is given everywhere: a table with names of its own, or anything else, which has none."""
        return data if isinstance(data, cls) else cls(data)

    def read_as(self, there: list[str], source: str) -> dict[str, str]:
        """What every column is to be called. One that has a name of ours, and is not the one meant, is left out.

        Args:
            there: the table's names.
            source: the table's name, for errors.

        Returns:
            Our name or its own, by its own.

        Raises:
            InputError: a column that was named is not there.
        """
        self.check(there, source)
        ours = {name: ours for ours, name in self.names.items()}
        return {name: ours.get(name, name) for name in there if name in ours or name not in self.names}

    def check(self, there: list[str], source: str) -> None:
        """Refuse names of columns that no image table has, or that are not in `there`."""
        for ours, theirs in self.names.items():
            if ours not in FIXED:
                raise InputError(
                    f"columns: an image table has no column {ours!r}, only {', '.join(FIXED)}",
                    hint=did_you_mean(ours, FIXED) or "all other columns are attributes and keep their names",
                )
            if theirs not in there:
                raise InputError(
                    f"{source}: no column {theirs!r} for {ours}; it has {', '.join(there)}",
                    hint=did_you_mean(theirs, there) or f"give its name for it, e.g. {ours}={there[0]}",
                )

    def name(self, ours: str) -> str:
        """What the table calls one of our columns."""
        return self.names.get(ours, ours)
