"""A model as a chain that can be cut: before any of its layer groups, or behind the pooling."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from vitrail.basics.errors import InputError
from vitrail.models.heads import classified, classifiers, pooled, pooled_features
from vitrail.models.layer_order import LayerOrder, layer_order
from vitrail.models.modes import in_modes


class Chain:
    """A model and the places where it can be cut.

    With G layer groups, place 0 holds the images, place i what enters group i, place G (`pooled`) the pooled features
    that the linear classifier stands on, and place G + 1 (`logits`) the logits.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.order: LayerOrder = layer_order(model)
        self.pooled = len(self.order.groups)
        self.logits = self.pooled + 1
        self._parts = self._numbered_parts()
        self._batch_norms = batch_norms(model)

    @property
    def parts(self) -> dict[str, int]:
        """By parameter name: the number of its layer group, or `pooled` for the linear classifier's own."""
        return self._parts

    def moving_statistics(self) -> list[Tensor]:
        """The buffers that a forward pass would change now: those of batch norms in training mode."""
        return statistics_in_motion(self._batch_norms)

    def can_cut(self, place: int) -> bool:
        """Whether the model can be run from and to this place."""
        return self.order.can_run or place in (0, self.pooled, self.logits)

    def run(self, x: Float[Tensor, " B *state"], start: int, stop: int) -> Float[Tensor, " B *result"]:
        """From what stands at place `start` to what stands at place `stop`.

        From 0 to `logits` this is the model's own `forward`, bit for bit, however it is divided, with one exception:
        a distilled ViT's two classifiers, cut behind the pooling, both see the mean of their two tokens.

        Raises:
            InputError: the model cannot be cut there.
        """
        if not (self.can_cut(start) and self.can_cut(stop)):
            raise InputError(
                f"this model cannot be cut at place {start if self.can_cut(stop) else stop}: {self.order.why_not}",
                hint="train without the prefix cache: --set cache=off",
            )
        if start == stop:
            return x
        if start == self.pooled:
            return classified(self.model, x)
        if not self.order.can_run:
            return self.model(x) if stop == self.logits else pooled_features(self.model, x)
        if stop == self.logits:
            return self.order.run(x, start)
        if stop == self.pooled:
            return pooled(self.model, self.order.run(x, start, self.pooled - 1))
        return self.order.run(x, start, stop)

    def shape_at(self, place: int, images: tuple[int, int, int]) -> tuple[int, ...]:
        """Shape of one image's state at a place, for images (C, H, W)."""
        device = next(self.model.parameters()).device
        with torch.inference_mode(), in_modes(dict.fromkeys(self.model.modules(), False)):
            state = self.run(torch.zeros(1, *images, device=device), 0, place)
        return tuple(state.shape[1:])

    def _numbered_parts(self) -> dict[str, int]:
        own = {id(parameter) for layer in classifiers(self.model) for parameter in layer.parameters()}
        named = dict(self.model.named_parameters())
        numbers = {name: index for index, group in enumerate(self.order.groups) for name in group.parameters}
        return {name: self.pooled if id(parameter) in own else numbers[name] for name, parameter in named.items()}


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """The layers inside that keep moving statistics."""
    return [part for part in module.modules() if isinstance(part, _NormBase)]


def statistics_in_motion(norms: list[nn.Module]) -> list[Tensor]:
    """The buffers of those that are in training mode: a forward pass would change them."""
    return [buffer for norm in norms if norm.training for buffer in norm.buffers(recurse=False)]
