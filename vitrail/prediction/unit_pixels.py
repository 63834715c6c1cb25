"""A model seen from pixels on the scale 0-1, with gradients: for attacks, saliency, and whatever looks at pixels."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.view import evaluation_view
from vitrail.prediction.normalise import Normalise


@runtime_checkable
class Seeing(Protocol):
    """What is looked at: a ready model or a predictor."""

    @property
    def model(self) -> nn.Module:
        """The network."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How its input is normalised."""

    @property
    def device(self) -> torch.device:
        """Where it is run."""


def logits_from_unit_pixels(ready: Seeing) -> Callable[[Float[Tensor, "B C H W"]], Float[Tensor, "B K"]]:
    """A function from pixels to logits that keeps gradients.

    For pixels that are whole 255ths it says what the predictor says in torch in float32, bit for bit. It looks at the
    very weights of `ready`, without a copy, through modules of its own, which are in evaluation mode: nothing else is
    moved or put into another mode, whatever other threads do with the model meanwhile. Weights that are trained on are
    seen; a head that is set later is not. On another device than the weights lie on, they are copied there, once.

    Gradients reach the pixels, and no parameter: `backward` leaves nothing behind in the model.

    Args:
        ready: the model; also a predictor.

    Returns:
        From pixels (B, C, H, W), 0-1 and floating-point, resized and cropped as the model expects, to logits (B, K) on
        the model's device. A forward pass costs what training's does in memory. It raises an `InputError` for whole
        numbers.

    >>> from vitrail.models.catalogue import build_model
    >>> from vitrail.models.model_settings import ModelSettings
    >>> ready = build_model(ModelSettings(name="test_vit", pretrained=False), num_classes=2)
    >>> pixels = torch.rand(1, *ready.input_shape, requires_grad=True)
    >>> logits_from_unit_pixels(ready)(pixels).sum().backward()
    >>> pixels.grad.shape
    torch.Size([1, 3, 160, 160])
    """
    model = evaluation_view(ready.model).to(ready.device)
    normalise = Normalise(ready.preprocessing, ready.device)

    def logits(pixels: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        if not pixels.is_floating_point():
            raise InputError(
                f"pixels are {pixels.dtype}, floating-point numbers from 0 to 1 were expected",
                hint="divide them by 255",
            )
        return model(normalise.unit(pixels.to(ready.device, torch.float32)))

    return logits
