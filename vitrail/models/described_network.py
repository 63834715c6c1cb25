"""From a description to the network it describes, and what in a network no answer can come from."""

from typing import Any

import timm
import torch
from torch import nn

from vitrail.models.description import Description
from vitrail.models.heads import classifiers

_FAULTS = (
    TypeError, AssertionError, AttributeError, ArithmeticError, ImportError, LookupError, MemoryError, RuntimeError,
    ValueError,
)  # fmt: skip
"""What timm's networks end in when their arguments make no sense together."""
_MOST_UNWRITTEN_BYTES = 2**30
"""Tables that a network computes for itself (positions, masks): they stand in no file that would bound them."""


def described_network(description: Description, num_classes: int, *, allocate: bool = True) -> nn.Module:
    """The network with random weights; nothing is fetched and no file is read.

    Args:
        description: what to build.
        num_classes: width of its classifier.
        allocate: False: on torch's meta device, where tensors have shapes and take no memory.

    Raises:
        ValueError: timm cannot build it; in words.
    """
    arguments: dict[str, Any] = {**description.model_args, "num_classes": num_classes}
    try:
        if not allocate:
            try:
                with torch.device("meta"):
                    return _built(description, arguments)
            except NotImplementedError:
                pass  # timm before 1.0.31 computes with tables while it builds some networks
        return _built(description, arguments)
    except _FAULTS as error:
        told = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(f"it cannot be built ({told})") from error


def fault_of_network(network: Any, description: Description) -> str | None:
    """What a network that was built as described is otherwise than described, in words."""
    unwritten = sum(buffer.nbytes for buffer in network.buffers())
    if unwritten > _MOST_UNWRITTEN_BYTES:
        return f"it would keep tables of {unwritten:,} bytes"
    for name in ("num_features", "global_pool"):
        said, known = description.written.get(name), getattr(network, name, None)
        if said is not None and known is not None and said != known:
            return f"config.json says {name} {said!r}, the network has {known!r}"
    return None


def fault_of_weights(model: nn.Module) -> str | None:
    """Why a model cannot answer whatever it is shown, in words; None when it can."""
    parameters = dict(model.named_parameters())
    for name, tensor in model.state_dict().items():
        # A stored limit may be infinite (Gemma's clipping); a parameter may not, and NaN is never meant.
        is_wrong = tensor.is_floating_point() and bool(
            (~torch.isfinite(tensor) if name in parameters else torch.isnan(tensor)).any()
        )
        if is_wrong:
            return f"{name} holds NaN or infinity, finite weights were expected"
    weights = [weight for layer in classifiers(model) if (weight := getattr(layer, "weight", None)) is not None]
    if weights and all(len(weight) > 1 and bool((weight == weight[:1]).all()) for weight in weights):
        return "its classifier weighs the features alike for all classes, so every image gets the same answer"
    return None


def fault_of_answers(model: nn.Module, shape: tuple[int, int, int]) -> str | None:
    """What is wrong with the answers to two pictures that have nothing in common, in words; None when nothing is.

    Args:
        model: in evaluation mode, on the processor, in float32.
        shape: channels, height and width of a picture.
    """
    noise = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            answers = model(torch.stack([noise[0] * 2 - 1, (noise[1] > 0.5).float()]))
    except _FAULTS as error:
        return f"it cannot be shown a picture of {shape[1]}×{shape[2]} pixels ({' '.join(str(error).split())[:300]})"
    if not torch.isfinite(answers).all():
        return "it answers with NaN or infinity"
    return "every image gets the same answer" if bool((answers == answers[:1]).all()) else None


def set_norm_epsilon(model: nn.Module, epsilon: float | None) -> None:
    """What every layer norm adds to a variance, where timm has no argument for it; None leaves timm's own."""
    for module in model.modules():
        if epsilon is not None and isinstance(module, nn.LayerNorm):
            module.eps = epsilon


def _built(description: Description, arguments: dict[str, Any]) -> nn.Module:
    model: nn.Module = timm.create_model(
        description.architecture, pretrained=False, pretrained_cfg=description.pretrained_cfg, **arguments
    )
    set_norm_epsilon(model, description.norm_epsilon)
    return model
