"""`vitrail nodes`: what can be taken out of a model."""

from dataclasses import dataclass
from typing import Any

from vitrail.features.looking_inside import GivenModel, as_deep_as, looked_into
from vitrail.features.node_table import node_remarks, node_table
from vitrail.features.nodes import Inside
from vitrail.pages.shown_as_text import ShownAsText


@dataclass(frozen=True, repr=False)
class NodesResult(ShownAsText):
    """What is inside a model, as far as it was asked for."""

    model: str
    found: Inside
    hidden: int
    """Modules that lie deeper than asked for."""
    is_tree: bool
    """Whether they are all, but for deeper ones."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "model": self.model,
            "parameters": self.found.parameters,
            "multiplications": self.found.multiplications,
            "modules": [
                {
                    "name": node.name,
                    "kind": node.kind,
                    "outputs": {f"{node.name}{suffix}": list(shape) for suffix, shape in node.shapes.items()},
                    "parameters": node.parameters,
                    "share_of_compute": self.found.share(node),
                    "calls": node.calls,
                    "extract": node.extractable,
                }
                for node in self.found.modules
            ],
            "operations": list(self.found.operations),
            "why_no_operations": self.found.why_no_operations,
        }

    def lines(self) -> list[str]:
        """The modules as a table, and what there is to say of them."""
        remarks = node_remarks(self.found, hidden=self.hidden)
        return [*node_table(self.found, is_tree=self.is_tree), "", *remarks]


def nodes(
    model: GivenModel,
    *patterns: str,
    example: Any = None,
    depth: int | None = None,
    architecture: str | None = None,
) -> NodesResult:
    """Look inside a model: modules with output shape, parameters, share of the work and calls, and operations.

    Without network, because its weights do not matter here.

    Args:
        model: a module of PyTorch, or what `fit` takes: timm name, hub name, folder, weights file.
        patterns: names or patterns of modules; none: all modules.
        example: what a module of PyTorch takes, e.g. images (B, C, H, W); several things as a tuple, or as a dictionary
            by name.
        depth: most parts that a name may have; None: any.
        architecture: timm name, for a bare weights file.

    Returns:
        What was found; `print` shows it as a table.

    Raises:
        InputError: no such model, no module matches, the example is missing or does not fit, or the model is compiled
            or scripted.
    """
    found = looked_into(model, patterns, example=example, architecture=architecture)
    shown = as_deep_as(found, depth)
    name = model if isinstance(model, str) else type(model).__name__
    return NodesResult(name, shown, hidden=len(found.modules) - len(shown.modules), is_tree=not patterns)
