"""Whose errors on corrupted pictures a model's own are divided by."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.basics.strict_json import strict_json
from vitrail.evaluation.robustness_settings import RobustnessSettings
from vitrail.measures.corruption_error import ALEXNET_ERRORS

_HINT = "name the report.json of an earlier `vitrail evaluate … --with robustness`, or the folder that it is in"


def corruption_reference(
    settings: RobustnessSettings, classes: Sequence[str]
) -> tuple[str, Mapping[str, float]] | None:
    """A reference's name and its mean error in each corruption; None where there is none.

    AlexNet's published errors belong to ImageNet's thousand classes and to all five severities; for other classes they
    mean nothing.

    Raises:
        InputError: the report that was named cannot be read, has no such figures, or was measured at other severities.
    """
    if settings.corruption_reference is not None:
        return _of_report(settings.corruption_reference, settings)
    if is_imagenet(classes) and settings.corruption_severities == (1, 2, 3, 4, 5):
        return "AlexNet (published)", ALEXNET_ERRORS
    return None


def is_imagenet(classes: Sequence[str]) -> bool:
    """Whether these are ImageNet's thousand classes, by their WordNet numbers.

    >>> is_imagenet([f"n{number:08d}" for number in range(1000)]), is_imagenet(["ants", "bees"])
    (True, False)
    """
    return len(classes) == 1000 and all(re.fullmatch(r"n\d{8}", name) for name in classes)


def _of_report(place: Path, settings: RobustnessSettings) -> tuple[str, Mapping[str, float]]:
    path = place / "report.json" if place.is_dir() else place
    document = _document(path)
    try:
        figures = document["sections"]["robustness"]["figures"]
        severities, errors = figures["severities"], figures["corruption_errors"]["by_corruption"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} has no errors on corrupted pictures", hint=_HINT) from error
    if list(severities) != list(settings.corruption_severities):
        raise InputError(
            f"{path} was measured at the severities {', '.join(map(str, severities))}, not at "
            f"{', '.join(map(str, settings.corruption_severities))}",
            hint="give the same corruption_severities",
        )
    return str(document.get("title") or path.parent.name), {name: float(value) for name, value in errors.items()}


def _document(path: Path) -> Any:
    try:
        return strict_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"the reference {path} cannot be read: {error}", hint=_HINT) from error
