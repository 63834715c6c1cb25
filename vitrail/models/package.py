"""The package: what a training run leaves behind and every later part reads. A timm folder, and more."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import safetensors.torch
import timm
from torch import nn

from vitrail.basics.errors import InputError, PackageError, SettingsError
from vitrail.basics.files import atomic_folder, write_bytes, write_json
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.catalogue import BuiltModel
from vitrail.models.position_embedding import folded_state
from vitrail.models.seal import seal_folder, sealed_bytes, sealed_digests

FORMAT = "vitrail package"
FORMAT_VERSION = 1
"""The version that `write_package` writes, and the newest that `read_package` reads."""
OLDEST_VERSION = 1
"""The oldest version that `read_package` reads."""
_WEIGHTS, _CONFIG, _FACTS, _CARD = "model.safetensors", "config.json", "vitrail.json", "README.md"
_REQUIRED = (_CONFIG, _WEIGHTS, _FACTS, _CARD)
_PATH = re.compile(r"""(?:^|[\s"'=:,(\[])(?:/(?!/)[^\s/]|~\w*/|[A-Za-z]:\\|\\\\\w)""")


@dataclass(frozen=True)
class PackageContents:
    """What a package says beside the model; nothing in it may name a patient, a path or a UID."""

    classes: tuple[str, ...]
    """Class names, in the order of the logits."""
    preprocessing: Preprocessing
    card: str
    """The model card, in Markdown."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: figures with their n, interval and what they were measured on."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: where weights and data came from, settings, versions. A string with a path in it is refused."""


@dataclass(frozen=True)
class Package:
    """A package whose every file was checked against its seal."""

    folder: Path
    architecture: str
    """timm's name of the network."""
    model_args: Mapping[str, Any]
    classes: tuple[str, ...]
    """Class names, in the order of the logits."""
    preprocessing: Preprocessing
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]
    format_version: int
    digests: Mapping[str, str]
    """SHA-256 of every file by its name; `digests["model.safetensors"]` names the weights."""

    def load_model(self) -> nn.Module:
        """The model, in eval mode and float32, on the CPU. The weights are read and checked once more.

        Raises:
            PackageError: the weights have changed since the package was read, or do not fit the configuration.
        """
        content = sealed_bytes(self.folder, _WEIGHTS, self.digests[_WEIGHTS])
        config = json.loads(sealed_bytes(self.folder, _CONFIG, self.digests[_CONFIG]))
        described = {**config["pretrained_cfg"], "architecture": self.architecture}
        try:
            model = timm.create_model(self.architecture, pretrained_cfg=described, **self.model_args)
            model.load_state_dict(safetensors.torch.load(content))
        except (RuntimeError, TypeError, ValueError, AssertionError, safetensors.SafetensorError) as error:
            raise PackageError(
                f"{self.folder}: the weights do not fit {self.architecture} of timm {timm.__version__}: {error}",
                hint=f"install the timm version of its provenance: {self.provenance.get('timm', 'not recorded')}",
            ) from error
        return model.float().eval()


def write_package(folder: Path, built: BuiltModel, *, contents: PackageContents) -> None:
    """Write a model as a folder that timm, the Hugging Face hub and `read_package` read.

    A two-dimensional position table is folded into an ordinary one, half precision becomes float32; `built` is not
    touched. The folder appears under its name only when it is whole.

    Args:
        folder: must not exist yet.
        built: the model with its description; `contents.preprocessing` replaces the preprocessing in it.

    Raises:
        InputError: the folder exists, the class names do not match the classifier, or the provenance holds a path.
        SystemFault: the disk is full or may not be written.
    """
    _check_contents(built.model, contents)
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists already, a new folder was expected", hint="choose another name or remove it")
    with atomic_folder(folder) as beginning:
        _write_files(beginning, built, contents)


def read_package(folder: Path) -> Package:
    """Check every file of a package against its seal, and only then read it.

    Raises:
        PackageError: not a package, a missing or changed file (named), a file that may hold code, or a format version
            that is not read here.
    """
    if not folder.is_dir():
        raise PackageError(f"{folder}: no such package folder", hint="vitrail fit writes one into runs/NAME/package")
    digests = sealed_digests(folder, required=_REQUIRED)
    facts = json.loads(sealed_bytes(folder, _FACTS, digests[_FACTS]))
    _check_version(folder, facts)
    config = json.loads(sealed_bytes(folder, _CONFIG, digests[_CONFIG]))
    try:
        return Package(
            folder=folder,
            architecture=config["architecture"],
            model_args=MappingProxyType(config["model_args"]),
            classes=tuple(facts["classes"]),
            preprocessing=Preprocessing.parse(**facts["preprocessing"]),
            metrics=MappingProxyType(facts["metrics"]),
            provenance=MappingProxyType(facts["provenance"]),
            format_version=facts["format_version"],
            digests=MappingProxyType(digests),
        )
    except (KeyError, TypeError, SettingsError) as error:
        raise PackageError(
            f"{folder}: {_FACTS} or {_CONFIG} is incomplete ({type(error).__name__}: {error})",
            hint="write the package again with this vitrail",
        ) from error


def _check_contents(model: nn.Module, contents: PackageContents) -> None:
    if len(contents.classes) != model.num_classes:
        raise InputError(
            f"{len(contents.classes)} class names were given for a classifier of {model.num_classes} classes",
            hint="give one name per logit, in their order",
        )
    for place, text in _strings({"metrics": contents.metrics, "provenance": contents.provenance}):
        if _PATH.search(text):
            raise InputError(
                f"{place} holds a path: {text!r}; a package must not say where things lay on this machine",
                hint="write the file's or folder's own name instead",
            )


def _strings(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _strings(name, place)
            yield from _strings(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _strings(inner, f"{place}[{index}]")


def _write_files(folder: Path, built: BuiltModel, contents: PackageContents) -> None:
    state = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in folded_state(built.model).items()
    }
    write_bytes(folder / _WEIGHTS, safetensors.torch.save(state, metadata={"format": "pt"}))
    write_json(folder / _CONFIG, timm_config(built, contents.preprocessing, contents.classes))
    facts = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "reads_from": OLDEST_VERSION,
        "classes": list(contents.classes),
        "preprocessing": contents.preprocessing.model_dump(mode="json"),
        "metrics": dict(contents.metrics),
        "provenance": dict(contents.provenance),
    }
    write_json(folder / _FACTS, facts)
    write_bytes(folder / _CARD, contents.card.encode())
    seal_folder(folder)


def timm_config(built: BuiltModel, shown: Preprocessing, classes: tuple[str, ...]) -> dict[str, Any]:
    """`config.json` as timm reads it; source: `timm.models._hub.save_config_for_hf`, timm 1.0.31.

    Args:
        built: the model with its description.
        shown: how it sees an image; replaces what the description says of it.
        classes: names in the order of the logits; none for a model without classifier.
    """
    model = built.model
    described = {name: value for name, value in built.pretrained_cfg.items() if name != "architecture"}
    described |= {
        "num_classes": model.num_classes,
        "custom_load": False,
        "input_size": [shown.channels, shown.height, shown.width],
        "interpolation": shown.interpolation,
        "crop_pct": shown.crop_fraction,
        "crop_mode": shown.crop_mode,
        "mean": list(shown.mean),
        "std": list(shown.std),
    }
    config = {
        "architecture": built.architecture,
        "num_classes": model.num_classes,
        "num_features": model.num_features,
        "label_names": list(classes),
        "model_args": {**built.model_args, "num_classes": model.num_classes},
        "pretrained_cfg": described,
    }
    if isinstance(getattr(model, "global_pool", None), str):
        config["global_pool"] = model.global_pool
    return config


def _check_version(folder: Path, facts: Any) -> None:
    described = facts if isinstance(facts, dict) else {}
    version = described.get("format_version")
    if described.get("format") != FORMAT or not isinstance(version, int):
        raise PackageError(
            f"{folder}: {_FACTS} does not describe a {FORMAT}", hint="vitrail fit writes one into runs/NAME/package"
        )
    if not OLDEST_VERSION <= version <= FORMAT_VERSION:
        action = "upgrade vitrail" if version > FORMAT_VERSION else "write the package again with this vitrail"
        raise PackageError(
            f"{folder}: the package has format version {version}; "
            f"versions {OLDEST_VERSION} to {FORMAT_VERSION} are read here",
            hint=action,
        )
