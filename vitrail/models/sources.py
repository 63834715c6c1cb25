"""Where a model comes from: `starter`, a timm name, a hub name, a folder or a weights file, all brought to one form."""

import dataclasses
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
from huggingface_hub import constants, errors
from timm.models import PretrainedCfg, get_arch_pretrained_cfgs, get_pretrained_cfg, is_model, split_model_name_tag
from timm.models._hub import download_cached_file, hf_split

from vitrail.basics.errors import InputError, PackageError, SystemFault, did_you_mean
from vitrail.basics.strict_json import strict_json
from vitrail.models.description import description_of, is_plain_architecture
from vitrail.models.plain_files import plain_content
from vitrail.models.run_package import package_of
from vitrail.models.seal import SEAL, sealed_digests
from vitrail.models.transformers_format import (
    PICTURES,
    TransformersModel,
    is_of_transformers,
    transformers_model,
    written_by,
)
from vitrail.models.weights import PLACES

STARTER = "starter"
"""The name of the weights that come with this package."""
STARTER_FOLDER = Path(__file__).parent / STARTER

_WEIGHT_SUFFIXES = (".safetensors", ".npz", ".pth", ".pt", ".bin", ".tar")
_STARTER_FILES = ("config.json", "model.safetensors")
IN_FOLDER = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
"""Names of weights files, in the order in which they are looked for."""
_OFFLINE_HINT = (
    f"--model {STARTER} needs no network, nor does a folder that was downloaded before (--model local-dir:PATH)"
)
CONNECT_SECONDS = 5.0
CLIENT_FAULT = errors.HfHubHTTPError.__bases__[0]
"""The base error of the HTTP client that this version of the hub library uses."""


@dataclass(frozen=True)
class ModelSource:
    """What is known about a model before it is built."""

    architecture: str
    """timm's name of the network."""
    model_args: dict[str, Any]
    """Arguments that belong to the weights, beyond the architecture's own."""
    pretrained_cfg: dict[str, Any]
    """timm's description of the weights: input size, mean, std, class count, …; without places."""
    weights: Path | None
    """The file that holds the weights; None when none were asked for."""
    label: str
    """Name for reports; never a full path."""
    fit: dict[str, Any] = field(default_factory=dict)
    """Settings of training that a fit from these weights takes unless told otherwise: the `fit` of its config.json."""
    transformers: TransformersModel | None = None
    """Where the transformers library wrote the folder: what it says of its network."""
    norm_epsilon: float | None = None
    """What the weights' norms add to a variance, where timm's network adds something else."""


def find_source(name: str, *, architecture: str | None, pretrained: bool) -> ModelSource:
    """Find out what `name` means, and fetch its weights when they are wanted.

    Args:
        name: `starter`, a timm name with or without tag, `hf-hub:org/name`, `local-dir:PATH`, or the path of a timm
            folder or of a weights file.
        architecture: timm name of the network; needed with a bare weights file, refused elsewhere.
        pretrained: whether weights are wanted; without them nothing is downloaded.

    Raises:
        InputError: there is no such model, file or folder, it is no model, or the folder is incomplete.
        PackageError: the folder is sealed, and something in it was changed.
        SystemFault: the weights must be downloaded and the network does not answer.
    """
    prefix, _, rest = name.partition(":")
    path = Path(rest if prefix == "local-dir" else name).expanduser()
    bare_file = path.suffix in _WEIGHT_SUFFIXES and prefix not in ("local-dir", "hf-hub") and not is_model(name)
    if architecture is not None and not bare_file:
        raise InputError(
            f"architecture {architecture!r} was given beside {name!r}, which names its architecture itself",
            hint="leave the architecture out; it is only for a bare .safetensors, .npz or .pth file",
        )
    if bare_file:
        return _bare_file(path, architecture, pretrained)
    if name == STARTER:
        return _starter(pretrained)
    if prefix == "local-dir" or path.is_dir():
        return _folder(path, pretrained)
    if prefix == "hf-hub":
        return _hub(rest, pretrained)
    if path.exists() and not is_model(split_model_name_tag(name)[0]):
        raise InputError(
            f"{path} is no model: a folder or a file with weights was expected",
            hint=f"files with weights end in {', '.join(_WEIGHT_SUFFIXES)}",
        )
    return _registry(name, pretrained)


def checked_architecture(name: str) -> dict[str, Any]:
    """timm's description of `architecture` or `architecture.tag`.

    Raises:
        InputError: timm has no such architecture (with the nearest names) or no such tag (with the known ones).
    """
    architecture, tag = split_model_name_tag(name)
    if not is_model(architecture):
        looks_like_path = "/" in name or "\\" in name
        hub = f"; a model on the hub is hf-hub:{name}" if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) else ""
        other = f"check the path{hub}"
        suggestion = did_you_mean(name, [STARTER, *timm.list_models(), *timm.list_pretrained()])
        raise InputError(
            f"{name!r} is neither a folder nor a model that timm {timm.__version__} knows"
            + (f": {suggestion}" if suggestion else ""),
            hint=other if looks_like_path else "timm.list_models('*vit*') in Python lists what there is",
        )
    known = [full.partition(".")[2] for full in get_arch_pretrained_cfgs(architecture)]
    if tag and tag not in known:
        raise InputError(
            f"{architecture} has no weights called {tag!r}; it has {', '.join(filter(None, known)) or 'none'}",
            hint=did_you_mean(tag, known) or f"leave the tag out: {architecture}",
        )
    found = get_pretrained_cfg(name) or PretrainedCfg()
    return dataclasses.asdict(dataclasses.replace(found, architecture=architecture))


def _bare_file(path: Path, architecture: str | None, pretrained: bool) -> ModelSource:
    if not path.is_file():
        raise InputError(f"{path} {'is no file' if path.exists() else 'does not exist'}", hint="check the path")
    if architecture is None:
        raise InputError(
            f"{path} holds weights only; the architecture they belong to was expected beside it",
            hint="name it, e.g. --architecture vit_tiny_patch16_224",
        )
    described = checked_architecture(architecture)
    return ModelSource(
        described["architecture"], {}, _without_places(described), path if pretrained else None, path.name
    )


def _starter(pretrained: bool) -> ModelSource:
    try:
        sealed_digests(STARTER_FOLDER, required=_STARTER_FILES)
    except PackageError as error:
        raise PackageError(
            f"the {STARTER} weights of this installation are damaged: {error.message}",
            hint="install vitrail again (pip install --force-reinstall --no-deps), or name another --model",
        ) from error
    return _folder(STARTER_FOLDER, pretrained)


def _folder(path: Path, pretrained: bool) -> ModelSource:
    path = package_of(path)
    config = path / "config.json"
    if not path.exists():
        raise InputError(f"{path} does not exist", hint="check the path; local-dir: is followed by a timm folder")
    if not config.is_file():
        raise InputError(
            f"{path} is not a timm folder: {config.name} is missing",
            hint="a timm folder holds config.json and model.safetensors (timm.models.save_for_hf writes one)",
        )
    if (path / SEAL).is_file():
        sealed_digests(path, required=(config.name,))
    source = _parsed_config(config, str(config), lambda name: _beside(path, name))
    weights = None
    if pretrained:
        found = [path / name for name in IN_FOLDER if (path / name).is_file()]
        weights = next(iter(found or sorted(path.glob("*.safetensors"))), None)
        if weights is None:
            raise InputError(
                f"{path} is not a complete timm folder: model.safetensors is missing",
                hint="copy the weights beside config.json, or start without pretrained weights",
            )
    return replace(source, weights=weights, label=path.resolve().name)


def _hub(name: str, pretrained: bool) -> ModelSource:
    config = _hub_file(name, ("config.json",))
    source = _parsed_config(config, f"hf-hub:{name}/config.json", lambda file: _hub_file(name, (file,)))
    weights = _hub_file(name, IN_FOLDER) if pretrained else None
    return replace(source, weights=weights, label=f"hf-hub:{name}")


def _registry(name: str, pretrained: bool) -> ModelSource:
    described = checked_architecture(name)
    weights = None
    if pretrained and described["hf_hub_id"]:
        filename = described["hf_hub_filename"]
        weights = _hub_file(described["hf_hub_id"], (filename,) if filename else IN_FOLDER)
    elif pretrained and described["url"]:
        with _network(described["url"]):
            weights = Path(download_cached_file(described["url"], check_hash=True))
    elif pretrained:
        raise InputError(
            f"timm has no pretrained weights for {name}",
            hint="start without them, or give a folder or file of your own",
        )
    label = f"{described['architecture']}.{described['tag']}" if described["tag"] else described["architecture"]
    return ModelSource(described["architecture"], {}, _without_places(described), weights, label)


def _beside(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise InputError(
            f"{folder} is a folder of the transformers library without {name}, which says how pictures are shown",
            hint="save_pretrained of the model's image processor writes it; the model's own repository holds it",
        )
    return folder / name


def _parsed_config(config: Path, shown: str, beside: Callable[[str], Path]) -> ModelSource:
    """What a model description says, still without weights and label; `beside` finds another file of the folder."""
    try:
        content = plain_content(config)
        written = strict_json(content)
        if is_of_transformers(written):
            written_by(written, shown=shown)
            found = transformers_model(written, plain_content(beside(PICTURES)), shown=shown)
            source = ModelSource(found.architecture, found.model_args, found.pretrained_cfg, None, "")
            return replace(source, transformers=found, norm_epsilon=found.norm_epsilon)
        described = description_of(content)
        fit = dict(described.written.get("fit") or {})
    except InputError:  # is a ValueError, and has said it in its own words
        raise
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{shown} is not a timm model description ({error})",
            hint="it is JSON with architecture, model_args and pretrained_cfg (timm.models.save_for_hf writes it)",
        ) from error
    checked_architecture(described.architecture)
    if not is_plain_architecture(described.architecture):
        raise InputError(
            f"{shown} names the architecture {described.architecture!r}, a plain name without tag was expected",
            hint=f"write {split_model_name_tag(described.architecture)[0]}",
        )
    source = ModelSource(described.architecture, described.model_args, described.pretrained_cfg, None, "", fit)
    return replace(source, norm_epsilon=described.norm_epsilon)


def _without_places(described: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in described.items() if name not in PLACES}


def _hub_file(name: str, filenames: tuple[str, ...]) -> Path:
    """The first of `filenames` that the repository has, from the local cache where it is there."""
    repository, revision = hf_split(name)
    for filename in filenames:
        cached = huggingface_hub.try_to_load_from_cache(repository, filename, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
    with _network(constants.ENDPOINT, name):
        for filename in filenames:
            try:
                return Path(huggingface_hub.hf_hub_download(repository, filename, revision=revision))
            except errors.LocalEntryNotFoundError:
                raise
            except errors.EntryNotFoundError:
                continue
    raise InputError(
        f"hf-hub:{name} holds none of {', '.join(filenames)}", hint="choose a repository with timm weights"
    )


@contextmanager
def _network(url: str, name: str = "") -> Iterator[None]:
    """Say plainly that there is no network, within seconds; and tell it from a name that does not exist."""
    wanted = name or url
    try:
        _knock(url)
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise InputError(f"hf-hub:{wanted} does not exist, or needs a login", hint="check the name") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, CLIENT_FAULT, OSError) as error:
        host = urllib.parse.urlsplit(url).hostname
        raise SystemFault(
            f"no network: the weights of {wanted} are not on this machine and {host} does not answer",
            hint=_OFFLINE_HINT,
        ) from error


def _knock(url: str) -> None:
    """Try the host once: the hub's own client would retry for half a minute. A proxy is left to that client."""
    parts = urllib.parse.urlsplit(url)
    if constants.HF_HUB_OFFLINE or urllib.request.getproxies() or parts.hostname is None:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
