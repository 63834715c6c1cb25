"""Weights into a model, with a true account of what reached it."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.patch_embed import resample_patch_embed
from timm.models import model_entrypoint
from timm.models._builder import load_pretrained
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.basics.quiet import quiet
from vitrail.models.prefixes import shown_names, without_prefix
from vitrail.models.weight_files import Tensors, read_weights

__all__ = ["PLACES", "WeightReport", "load_weights", "read_weights"]

_UNFIT = (RuntimeError, KeyError, AttributeError, ValueError, IndexError, TypeError)
PLACES = ("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source")
"""Where timm's description says that weights lie; never kept, never followed behind our back."""
PATCHES = "patch_embed.proj.weight"
"""The patch projection of timm's networks."""
_POSITION_TABLES = ("pos_embed", "relative_position_bias_table")


@dataclass(frozen=True)
class WeightReport:
    """What a weights file gave to a model, tensor by tensor; names are the model's own, `dropped` the file's."""

    source: str
    """File, folder or hub name; never a full path."""
    used: int
    """Number of the model's tensors (parameters and stored statistics) that came from the file."""
    dropped: tuple[str, ...] = ()
    """Tensors of the file that the model has no place for."""
    resized: tuple[str, ...] = ()
    """Tensors that were resampled or adapted before they fitted."""
    initialised: tuple[str, ...] = ()
    """The model's tensors that the file did not hold: they keep their initial value."""
    position_resampling: str | None = None
    """How a position table was brought to the model's grid; None when it was taken as it was."""
    patch_resampling: str | None = None
    """How the patch projection was brought to another patch; None when it was taken as it was."""

    def summary(self) -> str:
        """The report on one line.

        >>> WeightReport("model.safetensors", used=150, dropped=("head.bias", "head.weight")).summary()
        'model.safetensors: 150 tensors used; dropped 2 (head.bias, head.weight)'
        """
        parts = [f"{self.source}: {self.used} tensors used"]
        parts += [f"dropped {_listed(self.dropped)}"] if self.dropped else []
        parts += [f"resized {_listed(self.resized)}{self._methods()}"] if self.resized else []
        parts += [f"new {_listed(self.initialised)}"] if self.initialised else []
        return "; ".join(parts)

    def _methods(self) -> str:
        if self.patch_resampling is None:
            return f" by {self.position_resampling}" if self.position_resampling else ""
        positions = f", positions by {self.position_resampling}" if self.position_resampling else ""
        return f": patches by {self.patch_resampling}{positions}"


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], *, architecture: str, source: str) -> WeightReport:
    """Load `tensors` through timm's own conversion, and report what the model really received.

    Every floating tensor of the model is set to NaN first: what is still NaN afterwards was not loaded and gets its
    initial value back, so the report cannot claim more than happened. A classifier for another number of classes is
    left out; position tables and patch embeddings are resampled by timm.

    Args:
        model: a timm model; `model.pretrained_cfg` describes the source of the weights.
        tensors: as `read_weights` gives them.
        architecture: the model's timm name.
        source: name for the report.

    Raises:
        InputError: the weights belong to another architecture (the model is left as it was).

    Source: `timm.models._builder.load_pretrained` and each family's `checkpoint_filter_fn`, timm 1.0.31.
    """
    tensors = without_prefix(tensors, model.state_dict(), source=source)
    _refuse_quantised(model, tensors, source)
    initial = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    _forget(model)
    try:
        converted = _converted(model, tensors, architecture)
        _load_through_timm(model, converted)
    except _UNFIT as error:
        model.load_state_dict(initial)
        raise _unfit(source, architecture, f"{error}; its tensors are {shown_names(tensors)}") from error
    loaded = _restore_missing(model, initial)
    if 2 * len(loaded) < len(initial):
        model.load_state_dict(initial)
        raise _unfit(source, architecture, f"only {len(loaded)} of the model's {len(initial)} tensors are in it")
    resized = tuple(sorted(name for name in loaded if _differs(model, name, tensors)))
    return WeightReport(
        source=source,
        used=len(loaded),
        dropped=_dropped(tensors, converted, loaded),
        resized=resized,
        initialised=tuple(sorted(initial.keys() - loaded)),
        position_resampling=_resampling(resized, architecture),
        patch_resampling=_patch_resampling(model, tensors, architecture) if PATCHES in resized else None,
    )


def _refuse_quantised(model: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Whole numbers where the model computes with fractions would be copied as they are, without their scale."""
    for name, mine in model.state_dict().items():
        theirs = tensors.get(name)
        if theirs is not None and mine.is_floating_point() and not theirs.is_floating_point():
            raise InputError(
                f"{source}: {name} is {str(theirs.dtype).removeprefix('torch.')}, floating-point weights were expected",
                hint="take the weights from before they were quantised",
            )


def _forget(model: nn.Module) -> None:
    for tensor in model.state_dict().values():
        tensor.fill_(_mark(tensor))


def _mark(tensor: Tensor) -> float | int:
    """A value that no sound weights file holds."""
    if tensor.is_floating_point():
        return float("nan")
    return 0 if tensor.dtype == torch.bool else torch.iinfo(tensor.dtype).min


def _restore_missing(model: nn.Module, initial: Tensors) -> set[str]:
    """Give every tensor that was not loaded its initial value back; return the names of the others."""
    loaded = set()
    for name, tensor in model.state_dict().items():
        missing = tensor.isnan() if tensor.is_floating_point() else tensor == _mark(tensor)
        if tensor.numel() and bool(missing.all()):
            tensor.copy_(initial[name])
        else:
            loaded.add(name)
    return loaded


def _converted(model: Any, tensors: Mapping[str, Tensor], architecture: str) -> Tensors:
    """The tensors under timm's names and shapes, without a classifier of another width."""
    convert = _filter_of(model, architecture)
    if getattr(model, "pos_embed", 0) is None:  # timm before 1.0.31 looks at the table without asking for it
        tensors = {name: tensor for name, tensor in tensors.items() if name != "pos_embed"}
    with quiet(UserWarning):  # torch's remarks on how timm indexes when it resamples tables
        converted = dict(convert(dict(tensors), model))
    _resample_relative_patches(model, converted)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for classifier in _names(model.pretrained_cfg.get("classifier")):
        weight = f"{classifier}.weight"
        offset = model.pretrained_cfg.get("label_offset") or 0
        if weight in converted and len(converted[weight]) - offset != shapes.get(weight, (0,))[0]:
            converted.pop(weight)
            converted.pop(f"{classifier}.bias", None)
    return converted


def _resample_relative_patches(model: nn.Module, converted: Tensors) -> None:
    """timm resamples the patch projection of plain ViTs and others, but not of those with relative positions."""
    if isinstance(model, VisionTransformerRelPos) and PATCHES in converted:
        patch = model.get_parameter(PATCHES).shape[-2:]
        if converted[PATCHES].shape[-2:] != patch:
            converted[PATCHES] = resample_patch_embed(converted[PATCHES], list(patch))


def _filter_of(model: nn.Module, architecture: str) -> Callable[[Tensors, nn.Module], Tensors]:
    """timm's conversion for this family, with the options that its private `_create_…` function would give."""
    modules = (model_entrypoint(architecture).__module__, type(model).__module__)
    found = [getattr(sys.modules[module], "checkpoint_filter_fn", None) for module in modules]
    convert = next((function for function in found if function is not None), None)
    if convert is None:
        return lambda tensors, _model: tensors
    known = inspect.signature(convert).parameters
    wanted: dict[str, Any] = {"adapt_layer_scale": True}
    if _is_bilinear(architecture):
        wanted |= {"interpolation": "bilinear", "antialias": False}
    return functools.partial(convert, **{name: value for name, value in wanted.items() if name in known})


def _load_through_timm(model: Any, converted: Tensors) -> None:
    offset = model.pretrained_cfg.get("label_offset") or 0
    classes = getattr(model, "num_classes", 0)
    known = model.state_dict().keys()
    fitting = {name: tensor for name, tensor in converted.items() if name in known}
    if not fitting:
        raise ValueError("none of its tensors has a place in the model")
    # Without the places: timm would go to the hub for what it does not find here.
    description: dict[str, Any] = {
        **{name: value for name, value in model.pretrained_cfg.items() if name not in PLACES},
        "state_dict": fitting,
        "num_classes": classes,
        "classifier": [name for name in _names(model.pretrained_cfg.get("classifier")) if f"{name}.weight" in converted]
        if offset
        else None,
    }
    channels = getattr(model, "in_chans", description["input_size"][0])
    load_pretrained(model, description, num_classes=classes, in_chans=channels, strict=False)


def _names(value: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _differs(model: nn.Module, name: str, tensors: Mapping[str, Tensor]) -> bool:
    if name not in tensors:
        return False
    mine = model.state_dict()[name]
    return mine.shape != tensors[name].shape or not torch.equal(mine, tensors[name].to(mine.dtype))


def _dropped(tensors: Mapping[str, Tensor], converted: Tensors, loaded: set[str]) -> tuple[str, ...]:
    """The file's tensors that ended nowhere; one that was renamed is recognised by its memory."""
    arrived = {tensor.data_ptr() for name, tensor in converted.items() if name in loaded}
    names = [name for name, tensor in tensors.items() if name not in loaded and tensor.data_ptr() not in arrived]
    return tuple(sorted(names))


def _is_bilinear(architecture: str) -> bool:
    return "flexi" in architecture or "radio" in architecture


def _resampling(resized: tuple[str, ...], architecture: str) -> str | None:
    tables = [name for name in resized if name.endswith(_POSITION_TABLES)]
    if not tables:
        return None
    if tables[0].endswith("relative_position_bias_table"):
        return "linear interpolation on a geometric grid"
    return "bilinear interpolation" if _is_bilinear(architecture) else "bicubic interpolation, antialiased"


def _patch_resampling(model: nn.Module, tensors: Mapping[str, Tensor], architecture: str) -> str | None:
    """Only where the patch changed; a projection may also be adapted to other channels.

    Source: `resample_patch_embed` of timm 1.0.31.
    """
    if tensors[PATCHES].shape[-2:] == model.state_dict()[PATCHES].shape[-2:]:
        return None
    return (
        "the pseudo-inverse of a " + ("bilinear" if _is_bilinear(architecture) else "bicubic, antialiased") + " resize"
    )


def _unfit(source: str, architecture: str, why: str) -> InputError:
    lines = [line.strip() for line in why.splitlines() if line.strip()]
    shown = "; ".join(lines[:4])
    return InputError(
        f"{source}: these weights do not fit {architecture}: {shown}",
        hint="name the architecture they were trained with, or take weights made for this one",
    )


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} ({shown})"
