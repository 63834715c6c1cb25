"""What a version must show before it is rolled out; a small YAML file where the usual bounds do not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from vitrail.basics.errors import InputError, SettingsError
from vitrail.basics.settings import Settings
from vitrail.basics.strict_yaml import strict_yaml
from vitrail.measures.replacement import MARGIN

Share = Annotated[float, Field(ge=0, le=1)]


def _listed(names: Any) -> Any:
    return [each.strip() for each in names.split(",") if each.strip()] if isinstance(names, str) else names


TESTS = (
    "loads", "classes", "threshold", "non_inferiority", "negative_flips", "class_floors", "group_floors",
    "classes_and_groups", "calibration", "speed", "edge_cases", "adversarial_robustness", "distribution_shift",
    "memory_usage",
)  # fmt: skip
"""Names of all tests, in the order in which they are made."""


class AdmissionPolicy(Settings):
    """The bounds of admission.

    Sources: the threshold of 0.95 is that of the article that Vitrail grew from; the margin is that of `compare`; the
    others are ours, chosen so that a model that is fitted anew on the same data passes.
    """

    threshold: Share = 0.95
    """The least share of the stable version's accuracy that the candidate must have (`meets_threshold`)."""
    least_accuracy: Share | None = None
    """The least accuracy itself; None: a first version must be right more often than always saying the commonest
    class, which the lower end of its interval must show."""
    margin: Annotated[float, Field(gt=0, lt=1)] = MARGIN
    """How much accuracy the candidate may lose: the interval of the paired difference must lie above it."""
    most_negative_flips: Share = 0.05
    """The largest share of images that the stable version has right and the candidate wrong."""
    least_class_accuracy: Share = 0.5
    """The least share of each class that is recognised."""
    least_group_accuracy: Share = 0.5
    """The least share of each group's images (20 or more) that is answered rightly."""
    attributes: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    """Columns whose groups have a floor and must not lose, e.g. `sex,site`; None: those that divide the images into 2
    to 20 groups."""
    most_calibration_error: Share = 0.1
    """The largest expected calibration error; one that as few images give a calibrated model, too, is no evidence."""
    most_slowdown: Annotated[float, Field(ge=0)] = 0.25
    """How much slower the candidate may be: 0.25 is a quarter."""
    most_memory_growth: Annotated[float, Field(ge=0)] = 0.25
    """How much more memory the candidate's process may take than the stable version's, at its peak."""
    most_memory_megabytes: Annotated[float, Field(gt=0)] | None = None
    """The most memory that the candidate's process may take; None: only compared."""
    attack_epsilon: Annotated[float, Field(gt=0, le=1)] = 1 / 255
    """Largest change of a pixel by the small adversarial step, on the scale 0-1."""
    attack_images: Annotated[int, Field(ge=1)] = 64
    """How many images are attacked, taken evenly from every class."""
    most_robustness_loss: Share = 0.1
    """How much accuracy under attack the candidate may lose against the stable version."""
    least_adversarial_accuracy: Share = 0.0
    """The least accuracy under attack itself."""
    admit_without_evidence: bool = False
    """Whether what too few images were there to show counts as shown."""
    may_be_missing: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Names of tests that may be left undone where they cannot be done, e.g. `distribution_shift` of a package that
    says nothing of the images it knows. Of all others, what cannot be measured is not passed."""
    split: str | None = None
    """Which images: `train`, `val`, `test` or `all`; None: as for `evaluate`."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything that is drawn by lot."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""

    @field_validator("may_be_missing")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in TESTS:
                raise ValueError(f"{name!r} is no test; known: {', '.join(TESTS)}")
        return names


def asked_policy(file: str | Path | None, given: Mapping[str, Any]) -> AdmissionPolicy:
    """The policy of a YAML file, and what was given beside it, which goes first.

    Raises:
        InputError: the file is none, or a name or bound is not as it should be.
    """
    if file is None:
        return AdmissionPolicy.parse(**given)
    path = Path(file).expanduser()
    value = strict_yaml(path, expected="bounds of an admission", example="vitrail admit --help")
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{path}: names and bounds were expected", hint="for example `margin: 0.05`")
    try:
        return AdmissionPolicy.parse(**{**{str(name): each for name, each in (value or {}).items()}, **given})
    except SettingsError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from None
