"""What reaches an answer through all layers: rollout, and relevance for a class. Tensors in, tensors out."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def rollout(
    attentions: Sequence[Float[Tensor, "B T T"]], start: Float[Tensor, "Q T"] | None = None
) -> Float[Tensor, "B Q T"]:
    """Attention rollout: how much of every token stands in every other behind the last layer.

    Ã_l = (A_l + I) / 2 of the mean over heads A_l, and R = Ã_L … Ã_1; rows of R sum to 1. It knows no class.

    Args:
        attentions: the mean over heads of every layer, first layer first; rows sum to 1.
        start: rows from which R is read (R = start · Ã_L … Ã_1), which costs T² instead of T³ a layer; None: all.

    Source: S. Abnar and W. Zuidema (2020), Quantifying Attention Flow in Transformers, arXiv:2005.00928, section 3.

    >>> one = torch.tensor([[[0.5, 0.5], [0.25, 0.75]]])
    >>> two = torch.tensor([[[0.2, 0.8], [0.6, 0.4]]])
    >>> rollout([one, two]).tolist()
    [[[0.5, 0.5], [0.3125, 0.6875]]]
    """
    rows = _rows(attentions[0], start)
    for attention in reversed(attentions):
        rows = (rows @ attention + rows) / 2
    return rows


def relevance(
    attentions: Sequence[Float[Tensor, "B N T T"]],
    gradients: Iterable[Float[Tensor, "B N T T"]],
    start: Float[Tensor, "Q T"] | None = None,
) -> Float[Tensor, "B Q T"]:
    """Gradient-weighted relevance of tokens for one logit of every image.

    Ā_l = mean over heads of max(∇A_l ⊙ A_l, 0), and R = (I + Ā_L) … (I + Ā_1), which is R ← R + Ā_l R from R = I on.

    Args:
        attentions: of every layer, first layer first, heads apart.
        gradients: of the logit, for each of them.
        start: rows from which R is read, as for `rollout`.

    Source: H. Chefer, S. Gur and L. Wolf (2021), Generic Attention-model Explainability, arXiv:2103.15679, equations
    5 and 6 for self-attention.

    >>> layers = [torch.tensor([[[[0.5, 0.5], [0.25, 0.75]]]]), torch.tensor([[[[0.2, 0.8], [0.6, 0.4]]]])]
    >>> gradient = torch.tensor([[[[1.0, -1.0], [2.0, 0.5]]]])
    >>> [[round(value, 4) for value in row] for row in relevance(layers, [gradient, gradient])[0].tolist()]
    [[1.8, 0.0], [2.4, 1.65]]
    """
    rows = _rows(attentions[0][:, 0], start)
    for attention, gradient in zip(reversed(attentions), reversed(list(gradients)), strict=True):
        rows = rows + rows @ (gradient * attention).clamp(min=0).mean(dim=1)
    return rows


def _rows(attention: Float[Tensor, "B T T"], start: Float[Tensor, "Q T"] | None) -> Float[Tensor, "B Q T"]:
    batch, tokens, _ = attention.shape
    chosen = torch.eye(tokens) if start is None else start
    return chosen.to(attention).expand(batch, -1, -1)
