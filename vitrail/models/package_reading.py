"""The two descriptions in a package: read, typed, and held against each other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm

from vitrail.basics.errors import PackageError, SettingsError
from vitrail.basics.strict_json import strict_json
from vitrail.models.description import Description, description_of, is_plain_architecture
from vitrail.models.package_facts import FORMAT, FORMAT_VERSION, OLDEST_VERSION, PackageFacts, contradiction
from vitrail.models.package_files import CONFIG, FACTS
from vitrail.models.seal import sealed_bytes

_AGAIN = "take the package from where it was made again, or write it again with this vitrail"


def checked_facts(folder: Path, digests: Mapping[str, str]) -> tuple[PackageFacts, Description]:
    """What `vitrail.json` and `config.json` say, when all of it makes sense and they agree.

    Raises:
        PackageError: another format or version, a member that is missing or out of bounds, or a contradiction.
    """
    written = _json(folder, FACTS, digests)
    _check_version(folder, written)
    facts = _facts(folder, written)
    description = _description(folder, digests)
    for name, digest in facts.describes.items():
        if digests.get(name) != digest:
            raise PackageError(f"{folder}: {name} is not the one that {FACTS} was written with", hint=_AGAIN)
    fault = contradiction(facts, description)
    if fault:
        raise PackageError(f"{folder}: {fault}", hint=_AGAIN)
    return facts, description


def _json(folder: Path, name: str, digests: Mapping[str, str]) -> Any:
    try:
        return strict_json(sealed_bytes(folder, name, digests[name]))
    except PackageError:
        raise
    except ValueError as error:
        raise PackageError(f"{folder}: {name}: {error}", hint=_AGAIN) from None


def _facts(folder: Path, written: Mapping[str, Any]) -> PackageFacts:
    missing = [name for name, field in PackageFacts.model_fields.items() if field.is_required() and name not in written]
    if missing:
        raise PackageError(f"{folder}: {FACTS} is incomplete: {', '.join(missing)} is missing", hint=_AGAIN)
    try:
        return PackageFacts.parse(**{name: written[name] for name in PackageFacts.model_fields if name in written})
    except SettingsError as error:
        raise PackageError(f"{folder}: {FACTS}: {error.message}", hint=_AGAIN) from None


def _description(folder: Path, digests: Mapping[str, str]) -> Description:
    content = sealed_bytes(folder, CONFIG, digests[CONFIG])
    try:
        description = description_of(content)
    except ValueError as error:
        raise PackageError(f"{folder}: {CONFIG}: {error}", hint=_AGAIN) from None
    if not is_plain_architecture(description.architecture):
        raise PackageError(
            f"{folder}: {CONFIG} names the architecture {description.architecture!r}, which timm {timm.__version__} "
            "does not know",
            hint="a plain name without place and tag was expected; if it is a newer one, upgrade timm",
        )
    return description


def _check_version(folder: Path, facts: Any) -> None:
    described = facts if isinstance(facts, dict) else {}
    version = described.get("format_version")
    if described.get("format") != FORMAT or type(version) is not int:  # True is an int, too
        raise PackageError(
            f"{folder}: {FACTS} does not describe a {FORMAT}", hint="vitrail fit writes one into runs/NAME/package"
        )
    if not OLDEST_VERSION <= version <= FORMAT_VERSION:
        action = "upgrade vitrail" if version > FORMAT_VERSION else "write the package again with this vitrail"
        raise PackageError(
            f"{folder}: the package has format version {version}; "
            f"versions {OLDEST_VERSION} to {FORMAT_VERSION} are read here",
            hint=action,
        )
