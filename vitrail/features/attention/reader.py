"""Reading the attention of a network: any layer and head, rollout, relevance and distances, for whole batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.features.attention.distance import attention_distance
from vitrail.features.attention.layers import AttentionLayers, attention_layers
from vitrail.features.attention.rollout import relevance, rollout
from vitrail.features.attention.watching import AttentionWatch, Seen
from vitrail.models.view import evaluation_view


@dataclass(frozen=True)
class Attended:
    """What one forward pass of B images showed.

    Attributes:
        logits: (B, K), those of the network without being watched.
        weights: by place in the network's layers, (B, N, T, T); only of layers that were asked for.
        layers: where tokens lie.
    """

    logits: Float[Tensor, "B K"]
    weights: dict[int, Float[Tensor, "B N T T"]]
    layers: AttentionLayers

    def head(self, layer: int = -1, head: int | None = 0) -> Float[Tensor, "B T T"]:
        """Who looks at whom in one head; None: the mean of all heads.

        Raises:
            InputError: there is no such layer or head, or the layer was not asked for.
        """
        place = self.layers.place(layer)
        self.layers.refuse_other_heads(layer, head)
        if place not in self.weights:
            raise InputError(f"layer {layer} was not read", hint="name it among `layers` when reading")
        heads = self.weights[place]
        return heads.mean(dim=1) if head is None else heads[:, head]

    def map(self, layer: int = -1, head: int | None = 0) -> Float[Tensor, "B rows columns"]:
        """How much of its attention what the answer stands on gives to every patch; all tokens together get 1."""
        return self._on_patches(self._start @ self.head(layer, head))

    def rows(self, layer: int = -1, head: int | None = 0) -> Float[Tensor, "B T"]:
        """The same for all tokens, class and register tokens first; rows sum to 1."""
        return (self._start @ self.head(layer, head))[:, 0]

    def rollout(self) -> Float[Tensor, "B rows columns"]:
        """What of every patch stands in the answer's tokens behind the last layer; see `rollout`."""
        means = [self.weights[place].mean(dim=1) for place in range(len(self.layers))]
        return self._on_patches(rollout(means, self._start))

    def distances(self) -> Float[Tensor, "B L N"]:
        """Mean distance of attention by layer and head, in patches; see `attention_distance`."""
        grid, prefix = self.layers.grid, self.layers.prefix
        each = [attention_distance(self.weights[place], grid, prefix=prefix) for place in range(len(self.layers))]
        return torch.stack(each, dim=1)

    @cached_property
    def _start(self) -> Float[Tensor, "1 T"]:
        start = torch.zeros(1, self.layers.tokens)
        start[0, list(self.layers.answering)] = 1 / len(self.layers.answering)
        return start.to(self.logits)

    def _on_patches(self, rows: Float[Tensor, "B 1 T"]) -> Float[Tensor, "B rows columns"]:
        return rows[:, 0, self.layers.prefix :].unflatten(1, self.layers.grid)


@dataclass(frozen=True)
class Explained(Attended):
    """What one forward and backward pass showed: all layers, and what mattered for one class of every image.

    Attributes:
        classes: (B,) the class whose logit was traced back.
        gradients: of that logit, for the weights of every layer.
    """

    classes: Int[Tensor, "B"]
    gradients: tuple[Float[Tensor, "B N T T"], ...]

    def relevance(self) -> Float[Tensor, "B rows columns"]:
        """How much every patch spoke for the class, ≥ 0, on no scale of its own; see `relevance`.

        Where the answer stands on the patches' mean, what each of them brings as itself is the same and left out.
        """
        weights = [self.weights[place] for place in range(len(self.layers))]
        return self._on_patches(relevance(weights, self.gradients, self._start) - self._start)


class AttentionReader:
    """The attention inside one network, for images of one size.

    The network runs as it always does, with its fused kernels; beside them, weights are computed from the very queries
    and keys. It is looked at through modules of the reader's own (`evaluation_view`): nothing of the network is put
    into another mode, no hook is left in it, and no parameter gets a gradient, whatever happens. A batch gives what its
    images give one by one, to rounding.

    Memory is B · N · T² · 4 bytes for every layer that is asked for (ViT-S/16 at 224 pixels: 0.9 MB an image), and for
    `explained` three times that of all layers.

    Args:
        model: of timm, torchvision's ViT, Hugging Face's, or any with `num_prefix_tokens` and timm's `patch_embed`.
        example: one image as the network takes it (1, C, H, W); images of other sizes need a reader of their own.

    Raises:
        NoTokenAttention: its family has no attention between all tokens; the message says what it has instead.
        InputError: it is compiled or scripted.
    """

    def __init__(self, model: nn.Module, example: Float[Tensor, "1 C H W"]) -> None:
        self._view = evaluation_view(model).to(example.device)
        self.layers = attention_layers(self._view, example)

    @torch.no_grad()
    def read(self, x: Float[Tensor, "B C H W"], layers: Sequence[int] | None = None) -> Attended:
        """Run images, and keep the weights of these layers; None: of all."""
        places = range(len(self.layers)) if layers is None else [self.layers.place(layer) for layer in layers]
        logits, weights = self._run(x, places, written_out=False)
        return Attended(logits, weights, self.layers)

    def explained(self, x: Float[Tensor, "B C H W"], classes: Int[Tensor, "B"] | None = None) -> Explained:
        """Run images, and trace the logit of one class of each back to the weights; None: of the class it answers.

        Logits differ from `read`'s by rounding, because attention is written out for the gradients.
        """
        with torch.enable_grad():
            logits, weights = self._run(x, range(len(self.layers)), written_out=True)
            chosen = logits.detach().argmax(dim=1) if classes is None else classes.to(logits.device)
            spoken = logits.gather(1, chosen[:, None]).sum()  # images do not meet: each has the gradient of its own
            gradients = torch.autograd.grad(spoken, list(weights.values()))
        plain = {place: each.detach() for place, each in weights.items()}
        return Explained(logits.detach(), plain, self.layers, chosen, gradients)

    @torch.no_grad()
    def probabilities(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """What the network answers, in float64, without being watched."""
        return _logits(self._view(x)).double().softmax(dim=1)

    def _run(
        self, x: Tensor, places: Sequence[int], *, written_out: bool
    ) -> tuple[Float[Tensor, "B K"], dict[int, Tensor]]:
        found: dict[int, Tensor] = {}
        wanted = {self.layers.numbers[place]: place for place in places}

        def take(seen: Seen, weights: Tensor) -> None:
            self._refuse_other_size(weights)
            found[wanted[seen.number]] = weights

        with AttentionWatch(take, wanted=tuple(wanted), written_out=written_out):
            logits = _logits(self._view(x))
        return logits, {place: found[place] for place in sorted(found)}

    def _refuse_other_size(self, weights: Tensor) -> None:
        if weights.shape[-1] != self.layers.tokens:
            raise InputError(
                f"these images have {weights.shape[-1]} tokens, the reader was made for {self.layers.tokens}",
                hint="make a reader with an image of this size",
            )


def _logits(output: Any) -> Tensor:
    """Of what a network gives: timm's tensor, or the outputs of Hugging Face."""
    found = getattr(output, "logits", output)
    if not isinstance(found, Tensor) or found.ndim != 2:
        raise InputError(
            f"the network gives {type(output).__name__}, logits (B, K) were expected",
            hint="a network without classifier has no answer to explain; its attention is read with timm's own head",
        )
    return found
