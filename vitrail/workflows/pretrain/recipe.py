"""Recipes of pretraining: the settings that a run or its weights keep, given to another run."""

import json
from pathlib import Path
from typing import Any

from vitrail.basics.checks import CHECK, read_checked_json
from vitrail.basics.errors import InputError
from vitrail.basics.files import explained_os_errors

_HINT = "take the settings.json of a run folder, or the pretraining.json of its package"


def recipe_values(file: Path) -> dict[str, Any]:
    """The settings in a recipe, by their own names: what `PretrainSettings.gather` takes.

    Args:
        file: `settings.json` of a run folder, or `pretraining.json` of a folder of weights.

    Raises:
        InputError: the file is not there, is no JSON, or holds no settings of a pretraining.
    """
    if not file.is_file():
        raise InputError(f"{file}: there is no such file", hint=_HINT)
    with explained_os_errors(file):
        content = file.read_text(encoding="utf-8")
    try:
        kept = json.loads(content)
    except json.JSONDecodeError as error:
        raise InputError(f"{file} is no JSON: {error}", hint=_HINT) from None
    if isinstance(kept, dict) and CHECK in kept:  # a run's own settings.json
        kept = read_checked_json(file, hint="take an undamaged copy")
    settings = kept.get("settings", kept) if isinstance(kept, dict) else None
    if not isinstance(settings, dict) or not isinstance(settings.get("training"), dict):
        raise InputError(f"{file} holds no settings of a pretraining", hint=_HINT)
    values: dict[str, Any] = {}
    for name, value in settings.items():
        values.update(value if isinstance(value, dict) else {name: value})
    return values
