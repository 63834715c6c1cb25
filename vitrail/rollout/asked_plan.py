"""The plan of a rollout: a small YAML file, and what was said beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError
from vitrail.basics.strict_yaml import strict_yaml
from vitrail.rollout.plan import RolloutSettings


def asked_plan(file: str | Path | None, given: Mapping[str, Any]) -> RolloutSettings:
    """The plan of a YAML file, and what was given beside it, which goes first.

    Raises:
        InputError: the file is none, or a name or number is not as it should be.
    """
    if file is None:
        return RolloutSettings.gather(**given)
    path = Path(file).expanduser()
    value = strict_yaml(path, expected="the plan of a rollout", example="vitrail rollout start --help")
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{path}: names and values were expected", hint="for example `bake_seconds: 600`")
    try:
        return RolloutSettings.gather(**{**{str(name): each for name, each in (value or {}).items()}, **given})
    except InputError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from None


def least_seconds(plan: RolloutSettings) -> float:
    """How long a rollout lasts at least, were there requests enough."""
    stages = sum(
        plan.timing.least_stage_seconds if each.least_seconds is None else each.least_seconds for each in plan.stages
    )
    shadow = plan.shadow.least_shadow_seconds if plan.shadow.shadow_share > 0 else 0.0
    return shadow + stages + plan.timing.bake_seconds


def least_requests(plan: RolloutSettings) -> dict[str, int]:
    """By phase, how many requests of all users it needs at least; what must be shown may take more."""
    share, found = plan.shadow.shadow_share, dict[str, int]()
    if share > 0:
        found["shadow"] = round(plan.shadow.least_pairs / share)
    for stage in plan.stages:
        least = plan.timing.least_stage_requests if stage.least_requests is None else stage.least_requests
        found[stage.name] = round(least / (stage.percent / 100))
    return found
