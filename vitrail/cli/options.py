"""Options that mean the same for every command that has them."""

import json
from typing import Annotated, Any

import typer

from vitrail.basics.errors import InputError

Workers = Annotated[int | None, typer.Option("--workers", help="Processes that read images; default: one per core.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Any other setting, as name=value; may be repeated.")
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only warnings.")]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="OURS=THEIRS,…",
        help="What a table calls its columns, e.g. `label=dx,group=patient`: any of path, label, split, group, frame.",
    ),
]  # fmt: skip

RUNTIMES = (
    "`torch float32`, `torch bfloat16 autocast`, `torch bfloat16`, `torch bfloat16 plain attention`, "
    "`torch float32 compiled`, `openvino float32`, `openvino bfloat16`, `onnx float32`"
)
"""Full names of all runtimes, for help; written out because asking for them would import torch."""

_OWN_OPTIONS = {"data", "model", "out", "overwrite", "workers", "command", "emit", "plan"}


def with_columns(data: str, columns: str | None) -> Any:
    """The data, and what its columns are called where that was said.

    Raises:
        InputError: the option is not written as `ours=theirs,…`, or names one column twice.
    """
    if columns is None:
        return data
    from vitrail.data.named_columns import NamedColumns

    named: dict[str, str] = {}
    for pair in columns.split(","):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and equals and theirs) or ours in named:
            raise InputError(
                f"--columns {columns}: {pair!r} is not understood", hint="write e.g. --columns label=dx,group=patient"
            )
        named[ours] = theirs
    return NamedColumns(data, named)


def parsed(assignments: list[str]) -> dict[str, Any]:
    """`["epochs=3", "device=cpu"]` to `{"epochs": 3, "device": "cpu"}`: values are JSON where they can be, else text.

    Raises:
        InputError: an assignment has no equals sign, or names what has an option of its own.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if name in _OWN_OPTIONS:
            raise InputError(f"--set {assignment}: {name} has an option of its own", hint=f"write --{name} {text}")
        if not equals:
            raise InputError(f"--set {assignment}: not of the form name=value", hint="for example --set batch_size=32")
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return values
