"""`vitrail nodes`: what can be taken out of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from vitrail.basics.errors import InputError
from vitrail.features.node_names import ModuleNames
from vitrail.features.nodes import Inside, inside
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings


@dataclass(frozen=True)
class NodesResult:
    """What is inside a model, as far as it was asked for."""

    model: str
    found: Inside
    hidden: int
    """Modules that lie deeper than asked for."""

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


def nodes(
    model: str | nn.Module,
    patterns: Sequence[str] = (),
    *,
    example: Any = None,
    depth: int | None = None,
    architecture: str | None = None,
) -> NodesResult:
    """Look inside a model; without network, because its weights do not matter here.

    Args:
        model: a module of PyTorch, or what `fit` takes: timm name, hub name, folder, weights file.
        patterns: names or patterns of modules; none: all modules.
        example: what a module of PyTorch takes, e.g. images (B, C, H, W); several things as a tuple, or as a dictionary
            by name.
        depth: most parts that a name may have; None: any.
        architecture: timm name, for a bare weights file.

    Raises:
        InputError: no such model, no module matches, the example is missing or does not fit, or the model is compiled
            or scripted.
    """
    network, taken = _given(model, example) if isinstance(model, nn.Module) else _built(model, architecture)
    found = inside(network, **taken) if isinstance(taken, Mapping) else inside(network, *taken)
    if patterns:
        names = ModuleNames(network)
        wanted = {name for pattern in patterns for name in names.matching(pattern)}
        found = replace(found, modules=tuple(node for node in found.modules if node.name in wanted))
    shown = tuple(node for node in found.modules if depth is None or node.name.count(".") < depth)
    name = model if isinstance(model, str) else type(model).__name__
    return NodesResult(name, replace(found, modules=shown), hidden=len(found.modules) - len(shown))


def _given(model: nn.Module, example: Any) -> tuple[nn.Module, Any]:
    if example is None:
        raise InputError(
            f"what {type(model).__name__} takes is not known, an example was expected",
            hint="e.g. vitrail.nodes(model, example=torch.zeros(1, 3, 224, 224))",
        )
    return model, example if isinstance(example, tuple | Mapping) else (example,)


def _built(name: str, architecture: str | None) -> tuple[nn.Module, Any]:
    built = build_model(ModelSettings.parse(name=name, architecture=architecture, pretrained=False))
    expected = built.preprocessing
    return built.model, (torch.zeros(1, expected.channels, expected.height, expected.width),)
