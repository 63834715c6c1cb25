"""The end of a model: pooled features, logits, and a linear classifier put on top."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.models.classifiers import branches_of, is_linear, resize, width_of


def feature_width(model: nn.Module) -> int:
    """Number of values in one pooled feature vector of a timm model."""
    timm_model: Any = model
    layers = branches_of(model)[0].layers
    if all(isinstance(layer, nn.Linear | nn.Conv2d) for layer in layers):
        return sum(width_of(layer) for layer in layers)
    return int(getattr(timm_model, "head_hidden_size", timm_model.num_features))


def pooled_features(model: nn.Module, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
    """The features a classifier stands on: pooled, normed, exactly what enters the last linear layer.

    A distilled ViT has two classifiers on two tokens; its feature is the mean of both tokens, so one linear map of it
    is the mean of that map on both, which is what the model answers. Where two classifiers have a norm each (LeViT),
    it is the mean behind the norms; where each sees other features (CrossViT), it is all of them side by side.

    Args:
        x: normalised images.

    Raises:
        InputError: the model does not pool (`global_pool=''`).

    Source: `forward_head(pre_logits=True)` of timm 1.0.31.
    """
    timm_model: Any = model
    return pooled(timm_model, timm_model.forward_features(x))


def features_and_logits(
    model: nn.Module, x: Float[Tensor, "B C H W"]
) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B K"]]:
    """Pooled features and logits from one pass through the layers; the logits are those of `model(x)`, bit for bit.

    Args:
        x: normalised images.

    Raises:
        InputError: the model does not pool.
    """
    timm_model: Any = model
    state = timm_model.forward_features(x)
    return pooled(timm_model, state), timm_model.forward_head(state)


def classifiers(model: nn.Module) -> tuple[Any, ...]:
    """The last layers of a timm model, linear where it is understood; a distilled ViT has two of them."""
    return tuple(layer for branch in branches_of(model) for layer in branch.layers)


def classified(model: nn.Module, features: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
    """Logits of pooled features: the mean of what the classifiers give."""
    answers = [branch.logits(features) for branch in branches_of(model)]
    return answers[0] if len(answers) == 1 else torch.stack(answers).mean(dim=0)


def refuse_other_classifiers(model: nn.Module) -> None:
    """A probe needs classifiers that are linear maps with a bias.

    Raises:
        InputError: one is something else; it is named.
    """
    for layer in classifiers(model):
        if not is_linear(layer):
            raise InputError(
                f"{type(model).__name__} ends in {type(layer).__name__}, a linear classifier with bias was expected",
                hint="choose another architecture for a probe",
            )


def set_linear_head(model: nn.Module, weight: Float[Tensor, "K D"], bias: Float[Tensor, "K"]) -> None:
    """Give the model a classifier that is exactly this linear map of its pooled features; the pooling stays.

    Args:
        weight: one row per class, of the model's feature width.
        bias: one value per class.

    Raises:
        InputError: the width does not fit, or the model has no linear classifier.
    """
    width = feature_width(model)
    if weight.shape[1] != width:
        raise InputError(
            f"a head of width {weight.shape[1]} does not fit features of width {width}",
            hint="fit it on the features of this very model",
        )
    timm_model: Any = model
    if not timm_model.num_classes:
        timm_model.reset_classifier(len(weight))
    refuse_other_classifiers(model)
    resize(model, len(weight))
    with torch.no_grad():
        for branch in branches_of(model):
            columns = weight.split([width_of(layer) for layer in branch.layers], dim=1)
            layers: tuple[Any, ...] = branch.layers
            for layer, block, share in zip(layers, columns, branch.shares(), strict=True):
                layer.weight.copy_(block.reshape(layer.weight.shape) / share)
                layer.bias.copy_(bias)


def soften(model: nn.Module, temperature: float) -> None:
    """Divide the model's logits by a temperature, for good: it is folded into the linear classifier.

    Args:
        model: ends in a linear classifier, see `set_linear_head`.
        temperature: above 1 the model becomes less sure; which class is best never changes.
    """
    with torch.no_grad():
        for layer in classifiers(model):
            layer.weight.div_(temperature)
            layer.bias.div_(temperature)


def pooled(model: nn.Module, state: Float[Tensor, " B *state"] | list[Tensor]) -> Float[Tensor, "B D"]:
    """Pooled features from what enters the head; networks with several branches give a list of maps.

    Raises:
        InputError: the model does not pool.
    """
    timm_model: Any = model
    before = timm_model.forward_head(state, pre_logits=True)
    branches = [branch for branch in branches_of(model) if branch.before] if before.ndim == 2 else []
    entering = [branch.entering(before) for branch in branches]
    features = torch.stack(entering).mean(dim=0) if len(entering) > 1 else entering[0] if entering else before
    if features.ndim != 2:
        raise InputError(
            f"{type(model).__name__} does not pool its features, their shape is {tuple(features.shape)}",
            hint="build it with a pooling, e.g. pooling='avg'",
        )
    return features
