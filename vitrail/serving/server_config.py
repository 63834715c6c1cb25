"""`serve.yaml`: the models to serve and the settings of the server, in one file.

```yaml
models:
  - package: runs/ants/package      # from the folder of this file
    weight: 80
  - package: runs/bees/package
    weight: 20
    name: candidate                 # else after its run: bees
fallback: [ants]                    # who answers for others, in order
anonymous: by weight                # or: first
salt: vitrail                       # what users are divided by
port: 8000                          # and every other setting by its name
```
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.basics.settings import Settings
from vitrail.basics.strict_yaml import strict_yaml
from vitrail.serving.served_models import (
    AskedPackage,
    Found,
    ServedModels,
    asked_package,
    models_of_arguments,
    served_packages,
    where_it_is,
)
from vitrail.serving.settings import ServingSettings
from vitrail.traffic.plain_values import list_of, members_of, number_of, text_of

_ABOUT_MODELS = ("models", "fallback", "anonymous", "salt")
_OF_A_MODEL = ("package", "weight", "name")


@dataclass(frozen=True)
class ServerConfig:
    """What a file says.

    Attributes:
        models: what is served.
        settings: values by the names that `ServingSettings.gather` takes, all of them sound; the command line may
            change some.
    """

    models: ServedModels
    settings: dict[str, Any]


def read_server_config(path: Path, *, found: Found = lambda _: None) -> ServerConfig:
    """Read a configuration; a relative path in it begins in the file's own folder. `found`: see `models_of_arguments`.

    Raises:
        InputError: the file is not there, not YAML, or says something that is unknown, of another type or out of range;
            it names the file.
        SystemFault: it may not be read.
    """
    value = strict_yaml(path, expected="the models to serve", example="vitrail serve --help")
    try:
        return _config(value, beside=path.parent, found=found)
    except InputError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from None


def _config(value: Any, *, beside: Path, found: Found) -> ServerConfig:
    known = (*_ABOUT_MODELS, *ServingSettings.names())
    members = members_of(value, "a configuration of a server", known, needed=("models",))
    asked = [where_it_is(_asked(each, beside=beside), found) for each in list_of(members["models"], "models")]
    texts = {name: text_of(members[name], name) for name in ("anonymous", "salt") if name in members}
    fallback = tuple(text_of(each, "fallback") for each in list_of(members.get("fallback", []), "fallback"))
    models = ServedModels(served_packages(asked), fallback, **texts)
    settings = {name: each for name, each in members.items() if name not in _ABOUT_MODELS}
    _refuse_yes_and_no(settings)
    ServingSettings.gather(**settings)
    return ServerConfig(models, settings)


def _refuse_yes_and_no(settings: dict[str, Any]) -> None:
    """Where a number or text is needed: Python counts with them, and `port: yes` would be port 1."""
    kinds: list[type[Settings]] = [ServingSettings, *ServingSettings.parts().values()]
    fields = [kind.model_fields for kind in kinds]
    for name, value in settings.items():
        kind = next(of[name].annotation for of in fields if name in of)
        if isinstance(value, bool) and kind is not bool:
            hint = ServingSettings.meaning(name)
            raise InputError(f"{name} is {'yes' if value else 'no'}, which is neither a number nor a text", hint=hint)


def _asked(value: Any, *, beside: Path) -> AskedPackage:
    if isinstance(value, str):
        return asked_package(value, beside=beside)
    members = members_of(value, "a model", _OF_A_MODEL, needed=("package",))
    place = text_of(members["package"], "the package of a model")
    weight = number_of(members["weight"], f"the weight of {place}") if "weight" in members else None
    name = text_of(members["name"], f"the name of {place}") if "name" in members else None
    return AskedPackage(place, beside / Path(place).expanduser(), weight, name)


@dataclass(frozen=True)
class AskedServer:
    """What is to be served, and how."""

    models: ServedModels
    settings: ServingSettings


def asked_server(
    arguments: Sequence[str], config: Path | None, settings: Mapping[str, Any], *, found: Found = lambda _: None
) -> AskedServer:
    """What a command asks for: packages or a file, and settings, which go before those of the file.

    `found`: see `models_of_arguments`.

    Raises:
        InputError: both or neither, or something in them is not as it should be.
    """
    if config is None:
        return AskedServer(models_of_arguments(arguments, found=found), ServingSettings.gather(**settings))
    if arguments:
        raise InputError("both packages and a configuration were given", hint="name the packages in the file")
    read = read_server_config(config, found=found)
    return AskedServer(read.models, ServingSettings.gather(**{**read.settings, **settings}))
