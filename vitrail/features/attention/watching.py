"""Watching a forward pass for attention: queries and keys are taken where they meet, fused or written out."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

_SOFTMAX = (torch.Tensor.softmax, torch.softmax, F.softmax)
_FUSED_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
_MULTI_HEAD_ARGUMENTS = tuple(inspect.signature(F.multi_head_attention_forward).parameters)
_PRODUCTS = (torch.Tensor.matmul, torch.Tensor.__matmul__, torch.matmul, torch.bmm, torch.Tensor.bmm)


@dataclass(frozen=True)
class Seen:
    """One attention that a forward pass came by.

    Attributes:
        number: how many came before it in this pass.
        shape: batch (times windows, where there are some), heads, queries, keys.
        is_fused: whether it was one call of PyTorch; else a softmax that was written out.
    """

    number: int
    shape: tuple[int, int, int, int]
    is_fused: bool


Take = Callable[[Seen, Float[Tensor, "B N Q T"]], None]


class AttentionWatch(TorchFunctionMode):
    """In its block, every attention that this thread computes is seen, and the wanted ones are handed over.

    It knows `scaled_dot_product_attention` (from whose queries and keys it computes the weights), PyTorch's
    `MultiheadAttention`, and a softmax over the last axis of (B, heads, queries, keys). Nothing else is changed, and
    results are what they would be without it. No module is touched: it sees functions.

    Args:
        take: receives every wanted attention, its rows summing to 1.
        wanted: numbers of the attentions whose weights are computed; None: all.
        written_out: compute with the very weights that are handed over, so that gradients reach them; results then
            differ from the fused ones by rounding.
        used: receives a softmax's number when its result, unchanged, is multiplied with values.

    Source: F.scaled_dot_product_attention's documented equivalent in Python, PyTorch 2.11.
    """

    def __init__(
        self,
        take: Take,
        *,
        wanted: Sequence[int] | None = None,
        written_out: bool = False,
        used: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self._take, self._wanted, self._written_out, self._used = take, wanted, written_out, used
        self._count = 0
        self._softmax: tuple[int, Tensor] | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by PyTorch in place of every function."""
        given = kwargs or {}
        if func is F.scaled_dot_product_attention:
            call = _FusedCall.of(*args, **given)
            return self._fused(call, lambda: func(*args, **given)) if call.query.ndim == 4 else func(*args, **given)
        if func is F.multi_head_attention_forward:
            plain = _SelfAttentionCall.of(*args, **given)
            return func(*args, **given) if plain is None else self._multi_head(plain, lambda: func(*args, **given))
        result = func(*args, **given)
        if func in _SOFTMAX and result.ndim == 4 and _is_over_last_axis(func, args, given):
            return self._written(result)
        if self._used is not None and func in _PRODUCTS:
            self._note_use(args[0])
        return result

    def _fused(self, call: "_FusedCall", compute: Callable[[], Tensor]) -> Tensor:
        batch, heads, queries, keys = *call.query.shape[:2], call.query.shape[-2], call.key.shape[-2]
        seen = self._next((batch, heads, queries, keys), is_fused=True)
        if not self._wants(seen):
            return compute()
        weights = call.weights()
        self._take(seen, weights)
        return weights @ call.value_of_every_head() if self._written_out else compute()

    def _multi_head(self, call: "_SelfAttentionCall", compute: Callable[[], Any]) -> Any:
        tokens, batch, _ = call.x.shape
        seen = self._next((batch, call.heads, tokens, tokens), is_fused=True)
        if not self._wants(seen):
            return compute()
        fused = call.projected()
        weights = fused.weights()
        self._take(seen, weights)
        return (call.joined(weights @ fused.value), None) if self._written_out else compute()

    def _written(self, weights: Tensor) -> Tensor:
        seen = self._next(tuple(weights.shape), is_fused=False)  # type: ignore[arg-type]
        if self._wants(seen):
            if self._written_out and torch.is_grad_enabled() and not weights.requires_grad:
                weights.requires_grad_()
            self._take(seen, weights)
        self._softmax = (seen.number, weights)
        return weights

    def _next(self, shape: tuple[int, int, int, int], *, is_fused: bool) -> Seen:
        seen = Seen(self._count, shape, is_fused)
        self._count += 1
        return seen

    def _wants(self, seen: Seen) -> bool:
        return self._wanted is None or seen.number in self._wanted

    def _note_use(self, first: Any) -> None:
        if self._softmax is None or self._used is None or not isinstance(first, Tensor):
            return
        number, weights = self._softmax
        if first.numel() == weights.numel() and torch.equal(first.reshape(weights.shape), weights):
            self._used(number)
            self._softmax = None


@dataclass(frozen=True)
class _FusedCall:
    """What `scaled_dot_product_attention` was called with, by its own names."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None
    is_causal: bool
    scale: float | None

    @classmethod
    def of(cls, *args: Any, **given: Any) -> "_FusedCall":
        """The call, whichever of its arguments were named."""
        named = dict(zip(_FUSED_ARGUMENTS, args, strict=False)) | given
        causal, mask, scale = bool(named.get("is_causal")), named.get("attn_mask"), named.get("scale")
        return cls(named["query"], named["key"], named["value"], mask, causal, scale)

    def weights(self) -> Tensor:
        """(B, N, Q, T): the softmax of queries times keys, in the same order of operations as PyTorch's."""
        scale = self.query.shape[-1] ** -0.5 if self.scale is None else self.scale
        root = math.sqrt(abs(scale))
        key = _for_every_head(self.key, self.query)
        scores = (self.query * root) @ (key * math.copysign(root, scale)).transpose(-2, -1)
        if self.is_causal:
            hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(hidden, -math.inf)
        elif self.attn_mask is not None and self.attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~self.attn_mask, -math.inf)
        elif self.attn_mask is not None:
            scores = scores + self.attn_mask
        weights = scores.softmax(dim=-1)
        return weights.requires_grad_() if torch.is_grad_enabled() and not weights.requires_grad else weights

    def value_of_every_head(self) -> Tensor:
        """The values, repeated where several heads share them."""
        return _for_every_head(self.value, self.query)


@dataclass(frozen=True)
class _SelfAttentionCall:
    """Plain self-attention of PyTorch's `MultiheadAttention`: all tokens, one projection, nothing masked or added."""

    x: Tensor
    heads: int
    in_weight: Tensor
    in_bias: Tensor | None
    out_weight: Tensor
    out_bias: Tensor | None

    @classmethod
    def of(cls, *args: Any, **given: Any) -> "_SelfAttentionCall | None":
        """The call, or None where it is another kind of attention."""
        named = dict(zip(_MULTI_HEAD_ARGUMENTS, args, strict=False)) | given
        x, weight = named["query"], named["in_proj_weight"]
        others = [named.get(name) for name in ("bias_k", "bias_v", "key_padding_mask", "attn_mask", "static_k")]
        plain = x is named["key"] and x is named["value"] and x.ndim == 3 and weight is not None
        if not plain or named["add_zero_attn"] or any(each is not None for each in others):
            return None
        ends = weight, named["in_proj_bias"], named["out_proj_weight"], named["out_proj_bias"]
        return cls(x, named["num_heads"], *ends)

    def projected(self) -> _FusedCall:
        """Queries, keys and values (B, N, T, D) of x (T, B, D)."""
        tokens, batch, _ = self.x.shape
        parts = F.linear(self.x, self.in_weight, self.in_bias).reshape(tokens, batch, 3, self.heads, -1)
        query, key, value = parts.permute(2, 1, 3, 0, 4).unbind(0)
        return _FusedCall(query, key, value, None, False, None)

    def joined(self, values: Tensor) -> Tensor:
        """What the module gives, (T, B, D), of the heads' values (B, N, T, D)."""
        tokens, batch, _ = self.x.shape
        return F.linear(values.permute(2, 0, 1, 3).reshape(tokens, batch, -1), self.out_weight, self.out_bias)


def _for_every_head(shared: Tensor, query: Tensor) -> Tensor:
    """Keys or values of fewer heads than there are queries': head h uses number h // group."""
    group = query.shape[1] // shared.shape[1]
    return shared if group == 1 else shared.repeat_interleave(group, dim=1)


def _is_over_last_axis(func: Any, args: Sequence[Any], given: Mapping[str, Any]) -> bool:
    dim = given.get("dim", args[1] if len(args) > 1 else None)
    return dim in (-1, 3)
