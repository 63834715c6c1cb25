"""The option `--columns`, the same for every command that reads a table."""

from typing import Annotated, Any

import typer

from vitrail.basics.errors import InputError

Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="OURS=THEIRS,…",
        help="What a table calls its columns, e.g. `label=dx,group=patient`: any of path, label, split, group, frame.",
    ),
]  # fmt: skip


def with_columns(data: str, columns: str | None) -> Any:
    """The data, and what its columns are called where that was said.

    Raises:
        InputError: the option is not written as `ours=theirs,…`, or names one column twice.
    """
    if columns is None:
        return data
    from vitrail.data.tables import NamedColumns

    named: dict[str, str] = {}
    for pair in columns.split(","):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and equals and theirs) or ours in named:
            raise InputError(
                f"--columns {columns}: {pair!r} is not understood", hint="write e.g. --columns label=dx,group=patient"
            )
        named[ours] = theirs
    return NamedColumns(data, named)
