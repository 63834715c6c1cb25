"""Looking inside a model that is named or given: what it is tried on, and what of it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vitrail.basics.errors import InputError
from vitrail.features.node_names import ModuleNames
from vitrail.features.nodes import Inside, inside
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings

GivenModel = str | nn.Module
"""A module of PyTorch, or what `fit` takes: timm name, hub name, folder, weights file."""


def looked_into(
    model: GivenModel, patterns: Sequence[str] = (), *, example: Any = None, architecture: str | None = None
) -> Inside:
    """What is inside a model; without network, because its weights do not matter here.

    Args:
        model: a module, or the name of one.
        patterns: names or patterns of modules; none: all modules.
        example: what a module of PyTorch takes, e.g. images (B, C, H, W); several things as a tuple, or as a dictionary
            by name.
        architecture: timm name, for a bare weights file.

    Raises:
        InputError: no such model, no module matches, the example is missing or does not fit, or the model is compiled
            or scripted.
    """
    network, taken = _given(model, example) if isinstance(model, nn.Module) else _built(model, architecture)
    found = inside(network, **taken) if isinstance(taken, Mapping) else inside(network, *taken)
    if not patterns:
        return found
    names = ModuleNames(network)
    wanted = {name for pattern in patterns for name in names.matching(pattern)}
    return replace(found, modules=tuple(node for node in found.modules if node.name in wanted))


def as_deep_as(found: Inside, depth: int | None) -> Inside:
    """The same without modules whose name has more than `depth` parts; None: all of them."""
    shown = tuple(node for node in found.modules if depth is None or node.name.count(".") < depth)
    return replace(found, modules=shown)


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
