"""The end of a model: pooled features, logits, and a linear classifier put on top."""

from typing import Any

import torch
from jaxtyping import Float
from timm.layers.classifier import ClassifierHead
from torch import Tensor, nn

from vitrail.basics.errors import InputError


def feature_width(model: nn.Module) -> int:
    """Number of values in one pooled feature vector of a timm model."""
    timm_model: Any = model
    return int(getattr(timm_model, "head_hidden_size", timm_model.num_features))


def pooled_features(model: nn.Module, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
    """The features a classifier stands on: pooled, normed, before the last linear layer.

    A distilled ViT has two classifiers on two tokens; its feature is the mean of both tokens, so one linear map of it
    is the mean of that map on both, which is what the model answers.

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
    """The last layers of a timm model; a distilled ViT has two of them, whose answers are averaged."""
    timm_model: Any = model
    found = timm_model.get_classifier()
    layers = found if isinstance(found, tuple) else (found,)
    # Some networks (Sequencer, SAM) give the whole head, pooling included, where others give its last layer.
    return tuple(layer.fc if isinstance(layer, ClassifierHead) else layer for layer in layers)


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
    timm_model.reset_classifier(len(weight))
    for layer in classifiers(model):
        if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.bias is None or layer.weight.numel() != weight.numel():
            raise InputError(
                f"{type(model).__name__} ends in {type(layer).__name__}, a linear classifier with bias was expected",
                hint="choose another architecture for a probe",
            )
        with torch.no_grad():
            layer.weight.copy_(weight.reshape(layer.weight.shape))
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


def pooled(model: nn.Module, state: Float[Tensor, " B *state"]) -> Float[Tensor, "B D"]:
    """Pooled features from what enters the head.

    Raises:
        InputError: the model does not pool.
    """
    timm_model: Any = model
    features = timm_model.forward_head(state, pre_logits=True)
    if features.ndim != 2:
        raise InputError(
            f"{type(model).__name__} does not pool its features, their shape is {tuple(features.shape)}",
            hint="build it with a pooling, e.g. pooling='avg'",
        )
    return features
