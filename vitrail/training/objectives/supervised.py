"""Cross-entropy against labels, in a form whose parts add up."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def summed_cross_entropy(
    logits: Float[Tensor, "B K"],
    labels: Int[Tensor, "B"] | Float[Tensor, "B K"],
    image_weights: Float[Tensor, "B"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Sum over images of weight times cross-entropy in nats; divided by the sum of weights it is the mean.

    Summed and not averaged, so that the parts of a step that is computed in parts simply add up. Labels are class
    numbers, or every class's share of an image.
    """
    losses = nn.functional.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=label_smoothing)
    return (losses * image_weights).sum()


def balanced_weights(labels: Int[np.ndarray, "N"], classes: int) -> Float[Tensor, "K"]:
    """Weight of each class's images, N / (K n_class): with it every class counts the same, and the mean is 1.

    Source: scikit-learn's `class_weight="balanced"`.
    """
    counts = np.bincount(labels, minlength=classes)
    return torch.tensor(len(labels) / (classes * np.maximum(counts, 1)), dtype=torch.float32)
