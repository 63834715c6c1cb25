"""The optimiser and its parameter groups: made once, one pair of groups per layer group."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from vitrail.models.chain import Chain
from vitrail.training.optimization_settings import OptimizationSettings

FIRST_BLOCKS = 2
SLOW = {"stem": 0.1, "block": 0.5}
"""Shares of the last layer's rate in the stem and in the first blocks, as in the articles Vitrail grew from."""


def parameter_groups(chain: Chain, settings: OptimizationSettings) -> list[dict[str, Any]]:
    """All parameters of the model, by layer group and by whether they decay.

    Every group has, beside torch's own keys, `layer` (the layer group's name), `part` (its number in the chain),
    `names` (of its parameters) and `rate_scale` (its share of the last layer's learning rate, see `rate_scale`).
    """
    named = dict(chain.model.named_parameters())
    head = chain.pooled - 1
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, part in chain.parts.items():
        decays = name not in chain.order.no_weight_decay
        group = groups.setdefault(
            (part, decays),
            {
                "params": [], "names": [], "part": part, "layer": chain.order.names[min(part, head)],
                "rate_scale": rate_scale(chain, part, settings),
                "weight_decay": settings.weight_decay if decays else 0.0,
            },
        )  # fmt: skip
        group["params"].append(named[name])
        group["names"].append(name)
    return [groups[key] for key in sorted(groups)]


def rate_scale(chain: Chain, part: int, settings: OptimizationSettings) -> float:
    """Share of the last layer's learning rate at which a layer group learns.

    `layer_decay` to the power of its distance from the head (source: timm 1.0.31, `param_groups_layer_decay`, which
    counts the norm before the head to the last block; here it is a layer of its own, so that all before it are one step
    farther from the head), or the articles' multipliers.
    """
    head = chain.pooled - 1
    if settings.slower_layers == "decay":
        return settings.layer_decay ** (head - min(part, head))
    kind = chain.order.groups[min(part, head)].kind
    is_slow = kind == "stem" or part in chain.order.blocks[:FIRST_BLOCKS]
    return SLOW[kind] if is_slow else 1.0


def module_groups(modules: Mapping[str, nn.Module], settings: OptimizationSettings) -> list[dict[str, Any]]:
    """What is trained beside the model, at the rate of the last layer: parameters that ask for a gradient."""
    groups = []
    for owner, module in modules.items():
        named = {name: value for name, value in module.named_parameters() if value.requires_grad}
        for decays in (True, False):
            members = {name: value for name, value in named.items() if (value.ndim > 1) == decays}
            if members:
                groups.append({
                    "params": [*members.values()], "names": [*members], "part": None, "layer": owner, "rate_scale": 1.0,
                    "weight_decay": settings.weight_decay if decays else 0.0,
                })  # fmt: skip
    return groups


def made_optimizer(
    chain: Chain, settings: OptimizationSettings, beside: Mapping[str, nn.Module] | None = None
) -> Optimizer:
    """The optimiser over all parameters of the model, frozen or not, and of what is trained beside it; a parameter
    without gradient is left alone.

    Both kinds are torch's fused ones, which skip a step on the device when `found_inf` says so: nothing has to be
    read by the host.
    """
    groups = [*parameter_groups(chain, settings), *module_groups(beside or {}, settings)]
    if settings.optimizer == "adamw":
        return AdamW(groups, lr=0.0, fused=True)
    optimizer = SGD(groups, lr=0.0, momentum=settings.momentum, fused=True)
    fill_momentum(optimizer)
    return optimizer


def fill_momentum(optimizer: Optimizer) -> None:
    """Start SGD's missing momentum from zero; for other optimisers there is nothing to do.

    Torch would fill it from the first gradient, also from one that is skipped for not being finite.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if group.get("momentum") and "momentum_buffer" not in optimizer.state[parameter]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def set_rates(optimizer: Optimizer, peak: float, share: float) -> None:
    """Give every group its learning rate: `peak` times `share` of the schedule times the group's own scale."""
    for group in optimizer.param_groups:
        group["lr"] = peak * share * group["rate_scale"]


def freeze_below(chain: Chain, place: int) -> None:
    """Train what stands at or behind `place`, freeze the rest: no gradient, evaluation mode."""
    trained = {name: part >= place for name, part in chain.parts.items()}
    for name, parameter in chain.model.named_parameters():
        parameter.requires_grad_(trained[name])
    _set_modes(chain.model, "", trained, mode=any(trained.values()))


def _set_modes(module: nn.Module, prefix: str, trained: Mapping[str, bool], *, mode: bool) -> None:
    """A module is in training mode when any of its parameters is trained.

    One without any goes with the one before it, as timm's networks list their modules in running order: the dropout
    behind the positions is off while the stem is frozen. What comes first goes with the whole.
    """
    own = [value for name, value in trained.items() if name.startswith(prefix)]
    module.training = any(own) if own else mode
    inside = {name: value for name, value in trained.items() if name.startswith(prefix)}
    before = module.training
    for name, child in module.named_children():
        _set_modes(child, f"{prefix}{name}.", inside, mode=before)
        before = child.training
