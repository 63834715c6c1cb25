"""A model made ready for a probe, or refused, before any of the user's images is needed."""

import dataclasses
from typing import Any

import torch
from torch import nn

from vitrail.basics.errors import InputError
from vitrail.models.classifiers import branches_of
from vitrail.models.heads import classified, features_and_logits, refuse_other_classifiers
from vitrail.models.ready import ReadyModel

MOST_DIFFERENCE = 1e-3
"""By how much of the largest logit a model's logits may differ from the linear map of its features: rounding alone."""


def with_linear_head(built: ReadyModel) -> ReadyModel:
    """The model, whose logits are a linear map of its pooled features, as `set_linear_head` and every probe need it.

    Weights without classifier get one, of two classes and random. Second classifiers that look at single patches (VOLO)
    are left out, they are for training with labels of patches. That the logits are such a map is tried on one image of
    noise, not believed.

    Raises:
        InputError: they are not.
    """
    model: Any = built.model
    changed: dict[str, Any] = {}
    if getattr(model, "aux_head", None) is not None:
        changed["use_aux_head"] = model.use_aux_head = False
        model.aux_head = None
    if not model.num_classes:
        if getattr(model, "use_mlp_head", False):  # a hidden layer of random values would come with it
            changed["use_mlp_head"] = model.use_mlp_head = False
        model.reset_classifier(2)
    refuse_other_classifiers(model)
    shown = built.preprocessing
    _refuse_other_maps(model, (shown.channels, shown.height, shown.width))
    return dataclasses.replace(built, model_args={**built.model_args, **changed}) if changed else built


@torch.inference_mode()
def _refuse_other_maps(model: nn.Module, size: tuple[int, int, int]) -> None:
    image = torch.randn(1, *size, generator=torch.Generator().manual_seed(0))
    first, *others = branches_of(model)
    own = [[layer.state_dict() for layer in branch.layers] for branch in others]
    own = [[{name: value.clone() for name, value in state.items()} for state in states] for states in own]
    try:
        # Two classifiers on two tokens are a map of the tokens' mean only as long as they are the same.
        for branch in others:
            for layer, like in zip(branch.layers, first.layers, strict=True):
                layer.load_state_dict(like.state_dict())
        features, logits = features_and_logits(model, image)
        mapped = classified(model, features)
    finally:
        for branch, states in zip(others, own, strict=True):
            for layer, state in zip(branch.layers, states, strict=True):
                layer.load_state_dict(state)
    off = float((logits - mapped).abs().max() / logits.abs().max().clamp(min=1e-30))
    if off > MOST_DIFFERENCE:
        raise InputError(
            f"the logits of {type(model).__name__} are no linear map of its pooled features, they differ by "
            f"{100 * off:.1f} %",
            hint="choose another architecture for a probe; vitrail features can use this one",
        )
