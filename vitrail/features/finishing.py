"""What happens to each captured tensor before it is given back, settled once for every output name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.features.node_names import Request
from vitrail.features.reduction import Reduction, checked_reduction, normalised, projected, reduced, refuse_other_rows
from vitrail.features.token_layout import TokenLayout, token_layout

Value = TypeVar("Value")


@dataclass(frozen=True)
class OutputForm:
    """The form in which one node's tensor is given back."""

    reduction: Reduction | None
    normalise: bool
    projection: Tensor | None
    layout: TokenLayout

    def of(self, x: Float[Tensor, "*layer"], images: Float[Tensor, "B C H W"] | None) -> Float[Tensor, "*kept"]:
        """The tensor in this form.

        Args:
            x: what the node gave.
            images: what the model was given, if it was images.

        Raises:
            InputError: it does not have what is asked for.
        """
        if self.reduction is not None:
            if images is not None:
                refuse_other_rows(x, self.reduction, images)
            size = None if images is None else (int(images.shape[2]), int(images.shape[3]))
            x = reduced(x, self.reduction, self.layout, size)
        if not self.normalise and self.projection is None:
            return x
        if x.ndim == 4 and self.reduction != "map":
            raise InputError(
                f"a tensor of shape {tuple(x.shape)} does not say which of its sides is the vector",
                hint="add a reduction: 'mean' gives one vector per image, 'map' one per place",
            )
        dimension = 1 if self.reduction == "map" else -1
        x = normalised(x, feature_dimension=dimension) if self.normalise else x
        return x if self.projection is None else projected(x, self.projection, feature_dimension=dimension)


def output_forms(
    model: nn.Module,
    requests: tuple[Request, ...],
    *,
    reduce: str | Mapping[str, str] | None,
    normalize: bool,
    projection: Tensor | Mapping[str, Tensor] | None,
) -> dict[str, OutputForm]:
    """The form of every output.

    Args:
        model: the whole model, for the layout of its tokens and maps.
        requests: what is given back.
        reduce: one reduction for all, or by output name.
        normalize: divide every vector by its length.
        projection: one matrix (D, d) for all, or by output name.

    Raises:
        InputError: an unknown reduction, or a name that is not given back.
    """
    outputs = [request.output for request in requests]
    reductions = _by_output(reduce, outputs, "reduce")
    matrices = _by_output(projection, outputs, "projection")
    return {
        request.output: OutputForm(
            None if reductions.get(request.output) is None else checked_reduction(reductions[request.output]),
            normalize,
            matrices.get(request.output),
            token_layout(model, request.node.base),
        )
        for request in requests
    }


class Projections(nn.Module):
    """The matrices of the forms, so that they follow the extractor to another device."""

    def __init__(self, forms: dict[str, OutputForm]) -> None:
        super().__init__()
        self._places: dict[str, str] = {}
        for index, (output, form) in enumerate(forms.items()):
            if form.projection is not None:
                self._places[output] = f"matrix_{index}"
                self.register_buffer(self._places[output], form.projection.detach(), persistent=False)

    def on(self, form: OutputForm, output: str) -> OutputForm:
        """The form with its matrix where it is now."""
        place = self._places.get(output)
        return form if place is None else replace(form, projection=self.get_buffer(place))


def _by_output(given: Value | Mapping[str, Value] | None, outputs: list[str], argument: str) -> dict[str, Value]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return dict.fromkeys(outputs, given)
    for name in given:
        if name not in outputs:
            raise InputError(
                f"{argument} names {name!r}, which is not given back; {', '.join(outputs)} are",
                hint="name outputs, not nodes, where these differ",
            )
    return dict(given)
