"""What is inside a model, as a table for people."""

from vitrail.features.nodes import Inside

_SHOWN_OPERATIONS = 3


def node_table(found: Inside, *, is_tree: bool) -> list[str]:
    """The modules, one line each; as a tree, names are shortened to their last part and moved in."""
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
    return [line.rstrip() for line in lines]


def node_remarks(found: Inside, *, hidden: int) -> list[str]:
    """How large the model is, and what the table does not show.

    Args:
        found: what is shown.
        hidden: modules that lie deeper.
    """
    remarks = [f"{found.parameters:,} parameters, {found.multiplications / 1e9:.2f} billion multiplications an image"]
    if hidden:
        remarks.append(f"{hidden} modules lie deeper; a greater depth shows them, or a pattern such as '**.attn'")
    if found.why_no_operations:
        remarks.append(f"no operations: {found.why_no_operations}")
    elif found.operations:
        some = sorted(found.operations, key=lambda name: name.count("."))[:_SHOWN_OPERATIONS]
        remarks.append(f"{len(found.operations)} operations can be taken too, e.g. {', '.join(some)}; --json lists all")
    return remarks
