"""The ready model: a network with all that is needed to use, train or describe it. Made once, and passed along."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.chain import Chain
from vitrail.models.heads import feature_width, set_linear_head, soften
from vitrail.models.weights import WeightReport

_CPU = torch.device("cpu")
_RANDOM = WeightReport("random initialisation", used=0)


@dataclass(frozen=True)
class ReadyModel:
    """A network and a true account of it.

    Whoever gives it another head or other weights does so through it, so that nobody holds an account that is outdated.
    """

    model: nn.Module
    """The network, in eval mode and float32 unless it is being trained."""
    preprocessing: Preprocessing
    """What must be done to an image before the network sees it."""
    weights_sha256: str = ""
    """SHA-256 of the weights file; of the random tensors where there was no file."""
    device: torch.device = _CPU
    """Where it is run. Between runs the network lies on the processor."""
    architecture: str = ""
    """timm's name of the network."""
    model_args: Mapping[str, Any] = field(default_factory=dict)
    """JSON values; `timm.create_model(architecture, **model_args)` builds the same modules. The drop path rate is
    left out, it matters in training only; a two-dimensional position table must be folded first."""
    pretrained_cfg: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: input size, mean, std, crop, class count, tag, licence, …, as timm keeps them; no places."""
    weights: WeightReport = _RANDOM
    """Where the weights came from, and what became of them."""
    norm_epsilon: float | None = None
    """What the norms add to a variance, where that is not what timm's network adds; `config.json` keeps it."""

    @cached_property
    def chain(self) -> Chain:
        """The order of the network's layers, and the places where it can be cut."""
        return Chain(self.model)

    @property
    def parameters(self) -> int:
        """How many there are."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one input."""
        return self.preprocessing.channels, self.preprocessing.height, self.preprocessing.width

    def seen_through(self, preprocessing: Preprocessing, device: torch.device) -> "ReadyModel":
        """The same network, used with another preprocessing, or elsewhere."""
        adapted = replace(self, preprocessing=preprocessing, device=device)
        adapted.__dict__.update({name: self.__dict__[name] for name in ("chain",) if name in self.__dict__})
        return adapted

    def set_head(
        self, weight: Float[np.ndarray, "K D"] | Float[Tensor, "K D"], bias: Float[np.ndarray, "K"] | Float[Tensor, "K"]
    ) -> None:
        """Give the network this linear classifier; see `set_linear_head`.

        Raises:
            InputError: the width does not fit, or the network has no linear classifier.
        """
        set_linear_head(self.model, torch.as_tensor(weight), torch.as_tensor(bias))
        self.__dict__.pop("chain", None)  # the classifier's parameters may be new ones

    def set_zero_head(self, classes: int) -> None:
        """Give the network a classifier that finds all classes alike.

        Raises:
            InputError: the network has no linear classifier.
        """
        self.set_head(torch.zeros(classes, feature_width(self.model)), torch.zeros(classes))

    def soften(self, temperature: float) -> None:
        """Divide the network's logits by a temperature, for good."""
        soften(self.model, temperature)

    def use_gradient_checkpointing(self) -> None:
        """Compute blocks twice in training, to keep less in memory.

        Raises:
            InputError: the network cannot.
        """
        model: Any = self.model
        if not hasattr(model, "set_grad_checkpointing"):
            raise InputError(
                f"{type(model).__name__} cannot compute its blocks twice", hint="leave --set gradient_checkpointing out"
            )
        model.set_grad_checkpointing(True)
