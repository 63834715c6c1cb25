"""The package: what a training run leaves behind and every later part reads. A timm folder, and more."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

import safetensors.torch
import timm
from timm.models import get_pretrained_cfg
from torch import nn

from vitrail.basics.errors import InputError, PackageError
from vitrail.basics.files import atomic_folder, sha256_of, write_bytes, write_json
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.described_network import described_network, fault_of_answers, fault_of_network, fault_of_weights
from vitrail.models.description import Description
from vitrail.models.package_facts import FORMAT, FORMAT_VERSION, OLDEST_VERSION, PackageFacts
from vitrail.models.package_files import CARD, CONFIG, FACTS, REQUIRED, WEIGHTS
from vitrail.models.package_parts import Kind, PackagePart, kind_named, part_names, read_part, write_parts
from vitrail.models.package_reading import checked_facts
from vitrail.models.position_embedding import folded_state
from vitrail.models.ready import ReadyModel
from vitrail.models.said_paths import refuse_paths
from vitrail.models.seal import seal_folder, sealed_bytes, sealed_digests
from vitrail.models.weights_header import difference, header_of, shapes_of

_SAID_ELSEWHERE = ("architecture", "label_names", "label_descriptions")


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
    description: Description
    """What config.json says, checked."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of its parts, of those too that are not known here."""
        return part_names(self)

    @overload
    def part(self, kind: type[Kind]) -> Kind: ...

    @overload
    def part(self, kind: str) -> Any: ...

    def part(self, kind: type[Kind] | str) -> Any:
        """One of its parts, read and checked.

        Args:
            kind: its class, or the name of a kind that comes with Vitrail: `package.part("seen")`.

        Raises:
            InputError: no kind of that name.
            PackageError: the package has no such part, or has it damaged or too new; it can be used without the part.
        """
        return read_part(self, kind_named(kind) if isinstance(kind, str) else kind)

    def load_model(self) -> nn.Module:
        """The model, in eval mode and float32, on the CPU. The weights are read and checked once more.

        Raises:
            PackageError: the weights have changed since the package was read, do not fit the configuration, hold NaN or
            infinity, or answer the same to every image.
        """
        content = sealed_bytes(self.folder, WEIGHTS, self.digests[WEIGHTS])
        try:
            model = described_network(self.description, len(self.classes))
            model.load_state_dict(safetensors.torch.load(content))
        except (RuntimeError, ValueError, safetensors.SafetensorError) as error:
            raise _unfit(self.folder, self.architecture, self.provenance, str(error)) from error
        model = model.float().eval()
        shown = self.preprocessing
        fault = fault_of_weights(model) or fault_of_answers(model, (shown.channels, shown.height, shown.width))
        if fault:
            raise PackageError(f"{self.folder}: {fault}", hint="take an earlier package; this model cannot answer")
        return model


def write_package(
    folder: Path, built: ReadyModel, *, contents: PackageContents, parts: Sequence[PackagePart] = ()
) -> None:
    """Write a model as a folder that timm, the Hugging Face hub and `read_package` read.

    A two-dimensional position table is folded into an ordinary one, half precision becomes float32; `built` is not
    touched. The folder appears under its name only when it is whole.

    Args:
        folder: must not exist yet.
        built: the model with its description; `contents.preprocessing` replaces the preprocessing in it.
        contents: what is said beside it.
        parts: what belongs to it, no two of one name; see `package_parts`.

    Raises:
        InputError: the folder exists, the class names do not match the classifier, or provenance or a part holds a
            path.
        SystemFault: the disk is full or may not be written.
    """
    _check_contents(built.model, contents)
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists already, a new folder was expected", hint="choose another name or remove it")
    with atomic_folder(folder) as beginning:
        _write_files(beginning, built, contents)
        write_parts(beginning, parts)
        seal_folder(beginning)


def read_package(folder: Path) -> Package:
    """Check every file of a package against its seal, and only then read it.

    The seal shows accidents, not adversaries: whoever changes a file can seal it again. So nothing in a package is
    obeyed but what is known and within bounds, its two descriptions must agree, its tensors must be the network's
    before any is read, and neither the network nor another file is touched.

    Raises:
        PackageError: not a package, a missing or changed file (named), a file that may hold code, a format version
            that is not read here, or a value that makes no sense.
    """
    if not folder.is_dir():
        raise PackageError(f"{folder}: no such package folder", hint="vitrail fit writes one into runs/NAME/package")
    digests = sealed_digests(folder, required=REQUIRED)
    facts, description = checked_facts(folder, digests)
    package = Package(
        folder=folder,
        architecture=description.architecture,
        model_args=MappingProxyType(description.model_args),
        classes=facts.classes,
        preprocessing=facts.preprocessing,
        metrics=MappingProxyType(facts.metrics),
        provenance=MappingProxyType(facts.provenance),
        format_version=facts.format_version,
        digests=MappingProxyType(digests),
        description=description,
    )
    _check_tensors(package)
    return package


def _check_tensors(package: Package) -> None:
    """Compare names, shapes and kinds of all tensors with the network's, before memory is taken for any."""
    try:
        network = described_network(package.description, len(package.classes), allocate=False)
        fault = difference(header_of(package.folder / WEIGHTS), shapes_of(network.state_dict()))
        fault = fault or fault_of_network(network, package.description)
    except ValueError as error:
        fault = str(error)
    if fault:
        raise _unfit(package.folder, package.architecture, package.provenance, fault)


def _unfit(folder: Path, architecture: str, provenance: Mapping[str, Any], why: str) -> PackageError:
    versions = provenance.get("versions")
    known = versions.get("timm") if isinstance(versions, Mapping) else None
    return PackageError(
        f"{folder}: the weights do not fit {architecture} of timm {timm.__version__}: {why}",
        hint=f"install the timm version of its provenance: {known or 'not recorded'}",
    )


def _check_contents(model: nn.Module, contents: PackageContents) -> None:
    if len(contents.classes) != model.num_classes:
        raise InputError(
            f"{len(contents.classes)} class names were given for a classifier of {model.num_classes} classes",
            hint="give one name per logit, in their order",
        )
    PackageFacts.parse(classes=contents.classes, preprocessing=contents.preprocessing, metrics={}, provenance={})
    unwritable = [name for name in contents.classes if not _is_utf8(name)]
    if unwritable:
        raise InputError(f"the class name {unwritable[0]!r} is not valid UTF-8", hint="rename the class folder")
    fault = fault_of_weights(model)
    if fault:
        raise InputError(f"this model is not packaged: {fault}", hint="look at the training images, or train again")
    refuse_paths({"metrics": contents.metrics, "provenance": contents.provenance})


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write_files(folder: Path, built: ReadyModel, contents: PackageContents) -> None:
    state = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in folded_state(built.model).items()
    }
    # Some networks use one layer in several places; each name gets values of its own in the file.
    places = Counter(tensor.data_ptr() for tensor in state.values())
    state = {name: tensor.clone() if places[tensor.data_ptr()] > 1 else tensor for name, tensor in state.items()}
    write_bytes(folder / WEIGHTS, safetensors.torch.save(state, metadata={"format": "pt"}))
    write_json(folder / CONFIG, timm_config(built, contents.preprocessing, contents.classes))
    facts = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "reads_from": OLDEST_VERSION,
        "classes": list(contents.classes),
        "preprocessing": contents.preprocessing.model_dump(mode="json"),
        "metrics": dict(contents.metrics),
        "provenance": dict(contents.provenance),
        "describes": {name: sha256_of(folder / name) for name in (CONFIG, WEIGHTS)},
    }
    write_json(folder / FACTS, facts)
    write_bytes(folder / CARD, contents.card.encode())


def timm_config(built: ReadyModel, shown: Preprocessing, classes: tuple[str, ...]) -> dict[str, Any]:
    """`config.json` as timm reads it; source: `timm.models._hub.save_config_for_hf`, timm 1.0.31.

    Args:
        built: the model with its description.
        shown: how it sees an image; replaces what the description says of it.
        classes: names in the order of the logits; none for a model without classifier.
    """
    model = built.model
    described = {name: value for name, value in built.pretrained_cfg.items() if name not in _SAID_ELSEWHERE}
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
    # Hugging Face's loader hands over num_classes itself and does not know this description: no argument may be given
    # twice, and none may be missing that timm would take from it.
    arguments = {name: value for name, value in built.model_args.items() if name != "num_classes"}
    usual = get_pretrained_cfg(built.architecture)
    if usual is None or usual.input_size[0] != shown.channels:
        arguments["in_chans"] = shown.channels
    config: dict[str, Any] = {
        "architecture": built.architecture,
        "num_classes": model.num_classes,
        "num_features": model.num_features,
        "label_names": list(classes),
        "model_args": arguments,
        "pretrained_cfg": described,
    }
    if built.norm_epsilon is not None:
        config["norm_epsilon"] = built.norm_epsilon
    if isinstance(getattr(model, "global_pool", None), str):
        config["global_pool"] = model.global_pool
    return config
