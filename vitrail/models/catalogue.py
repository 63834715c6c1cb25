"""The catalogue: every image classifier of timm, by name, folder or file, as a model with a true account of itself."""

import dataclasses
import hashlib
import json
from typing import Any

from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from vitrail.basics.files import sha256_of
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.flax_weights import read_flax_weights
from vitrail.models.foreign_weights import ForeignWeights
from vitrail.models.model_settings import ModelSettings
from vitrail.models.network import Network, build_network
from vitrail.models.position_embedding import use_factorised_position
from vitrail.models.ready import ReadyModel
from vitrail.models.sources import ModelSource, find_source
from vitrail.models.transformers_weights import converted_weights
from vitrail.models.weights import PATCHES, WeightReport, load_weights, read_weights

_FLAX_PATCHES = "the pseudo-inverse of a bilinear resize"
"""Source: `VisionTransformer.load_pretrained` of timm 1.0.31."""

__all__ = ["ModelSettings", "build_model"]


def build_model(settings: ModelSettings, *, num_classes: int | None = None) -> ReadyModel:
    """Build the model that `settings` describe and load its weights.

    Random parts are drawn from torch's global generator: seed it to repeat them.

    Args:
        settings: which model, and how it is bent.
        num_classes: width of the classifier; None keeps the weights' own, 0 leaves it out. A classifier of another
            width than the weights' starts from random values and is reported as such.

    Raises:
        InputError: no such model; a damaged, unsafe or unfitting weights file; a setting the network cannot take.
        SystemFault: the weights must be downloaded and there is no network.
    """
    source = find_source(settings.name, architecture=settings.architecture, pretrained=settings.pretrained)
    is_flax = source.weights is not None and source.weights.suffix == ".npz"
    tensors = read_weights(source.weights) if source.weights and not is_flax else {}
    network = build_network(source, settings, num_classes=num_classes, has_pooled_norm="fc_norm.weight" in tensors)
    model: Any = network.model
    # timm 1.0.31 derives the grid of the source's position table from these, not from the size that is wanted now.
    model.pretrained_model_args = dict(source.model_args)
    if source.weights is not None and (is_flax or source.transformers):
        report = _load_foreign(network, source, _foreign(network, source, tensors))
    else:
        report = _load(network, source, tensors)
    if settings.position == "2d":
        use_factorised_position(model, from_table=source.weights is not None)
        report = _averaged(report) if source.weights else report
    described = _described(network, source)
    model.pretrained_cfg = model.default_cfg = described
    return ReadyModel(
        model=model.eval(),
        architecture=network.architecture,
        model_args=network.model_args,
        pretrained_cfg=described,
        weights=report,
        weights_sha256=sha256_of(source.weights) if source.weights else _digest(model.state_dict()),
        preprocessing=preprocessing_of(model),
        norm_epsilon=source.norm_epsilon,
    )


def preprocessing_of(model: nn.Module) -> Preprocessing:
    """The preprocessing that a timm model's own description asks for.

    Raises:
        SettingsError: it asks for a resampling or crop that is not known here.
    """
    config = resolve_model_data_config(model)
    channels, height, width = config["input_size"]
    return Preprocessing.parse(
        height=height,
        width=width,
        channels=channels,
        crop_fraction=config["crop_pct"],
        crop_mode=config["crop_mode"],
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _load(network: Network, source: ModelSource, tensors: dict[str, Tensor]) -> WeightReport:
    if source.weights is None:
        names = tuple(sorted(network.model.state_dict()))
        return WeightReport(source="random initialisation", used=0, initialised=names)
    return load_weights(network.model, tensors, architecture=network.architecture, source=_label(source))


def _foreign(network: Network, source: ModelSource, tensors: dict[str, Tensor]) -> ForeignWeights:
    assert source.weights is not None
    if source.transformers is None:
        return read_flax_weights(source.weights, source.architecture, network.plain_args, source.pretrained_cfg)
    model: Any = network.model
    grid = None if getattr(model, "pos_embed", None) is None else model.patch_embed.grid_size
    model.pretrained_model_args = {"img_size": network.plain_args["img_size"]}  # the table has that size by now
    return converted_weights(tensors, source.transformers, grid=grid, source=_label(source))


def _load_foreign(network: Network, source: ModelSource, foreign: ForeignWeights) -> WeightReport:
    report = load_weights(network.model, foreign.tensors, architecture=network.architecture, source=_label(source))
    resized = set(foreign.resized) - set(report.initialised) & network.model.state_dict().keys()
    return dataclasses.replace(
        report,
        dropped=tuple(sorted({*report.dropped, *foreign.dropped})),
        resized=tuple(sorted({*report.resized, *resized})),
        position_resampling=foreign.position_resampling if "pos_embed" in resized else report.position_resampling,
        patch_resampling=_FLAX_PATCHES if PATCHES in foreign.resized else report.patch_resampling,
    )


def _label(source: ModelSource) -> str:
    assert source.weights is not None
    return source.label if source.label == source.weights.name else f"{source.label}/{source.weights.name}"


def _averaged(report: WeightReport) -> WeightReport:
    """The report after a learned table was made two-dimensional."""
    before = f"{report.position_resampling}, then " if report.position_resampling else ""
    return dataclasses.replace(
        report,
        resized=tuple(sorted({*report.resized, "pos_embed"})),
        position_resampling=f"{before}averages per row and column",
    )


def _described(network: Network, source: ModelSource) -> dict[str, Any]:
    """timm's description, true for the model as it now is."""
    old = source.pretrained_cfg
    channels = getattr(network.model, "in_chans", old["input_size"][0])
    size = [channels, *network.image_size]
    new = {name: value for name, value in old.items() if value is not None}
    for name in ("test_input_size", "min_input_size", "test_pool_size", "test_crop_pct", "label_offset"):
        new.pop(name, None)
    if old["num_classes"] != network.model.num_classes:
        new.pop("label_names", None)
        new.pop("label_descriptions", None)
    new |= {
        "architecture": network.architecture,
        "input_size": size,
        "fixed_input_size": bool(old["fixed_input_size"]) and not network.model_args.get("dynamic_img_size", False),
        "num_classes": network.model.num_classes,
        "custom_load": False,
        "pool_size": old["pool_size"] if list(old["input_size"]) == size else None,
        "first_conv": old["first_conv"],
        "classifier": old["classifier"],
    }
    return json.loads(json.dumps(new))


def _digest(state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
