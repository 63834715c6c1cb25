"""`vitrail nodes`: what can be taken out of a model, as a tree."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from vitrail.basics.printable import printable
from vitrail.cli.output import reader_may_leave

if TYPE_CHECKING:
    from vitrail.workflows.nodes import NodesResult

_DEPTH = 2
_SHOWN_OPERATIONS = 3


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(nodes)


def nodes(
    model: Annotated[str, typer.Argument(help="timm name, `hf-hub:org/name`, `local-dir:FOLDER`, folder or file.")],
    patterns: Annotated[
        list[str] | None,
        typer.Argument(help="Only modules of these names; `blocks.*.attn`, `**` crosses dots.", show_default=False),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Parts a name may have; default 2, with patterns any.")
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="timm name, for a bare weights file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what can be taken out of a model: modules with output shape, parameters, share of the work, and calls.

    Weights are not loaded. The names go into `vitrail.create_feature_extractor(model, [NAME, ...])`.
    """
    from vitrail.workflows.nodes import nodes as run

    shown = depth if depth or patterns or as_json else _DEPTH
    result = run(model, patterns or (), depth=shown, architecture=architecture)
    with reader_may_leave():
        typer.echo(
            json.dumps(result.as_json(), indent=2)
            if as_json
            else printable(table(result, is_tree=not patterns), lines=True)
        )


def table(result: "NodesResult", *, is_tree: bool) -> str:
    """The modules as text, one line each; as a tree, names are shortened to their last part and moved in."""
    found = result.found
    rows = [("module", "output", "parameters", "work", "calls", "kind")]
    for node in found.modules:
        above, _, last = node.name.rpartition(".")
        name = "  " * (node.name.count(".")) + last if is_tree and above else node.name
        shapes = ", ".join(f"{suffix} {'×'.join(map(str, s))}".strip() for suffix, s in node.shapes.items())
        output = shapes or ("not a tensor" if node.calls else "never called")
        rows.append((name, output, f"{node.parameters:,}", f"{found.share(node):.1%}", str(node.calls), node.kind))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = (2, 3, 4)
    lines = [
        "  ".join(t.rjust(w) if i in right else t.ljust(w) for i, (t, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", *_remarks(result)])


def _remarks(result: "NodesResult") -> list[str]:
    found = result.found
    remarks = [f"{found.parameters:,} parameters, {found.multiplications / 1e9:.2f} billion multiplications an image"]
    if result.hidden:
        remarks.append(f"{result.hidden} modules lie deeper; --depth shows them, or a pattern such as '**.attn'")
    if found.why_no_operations:
        remarks.append(f"no operations: {found.why_no_operations}")
    elif found.operations:
        some = sorted(found.operations, key=lambda name: name.count("."))[:_SHOWN_OPERATIONS]
        remarks.append(f"{len(found.operations)} operations can be taken too, e.g. {', '.join(some)}; --json lists all")
    return remarks
