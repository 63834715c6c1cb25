"""What a package's `vitrail.json` says, typed and bounded once, and held against its `config.json`."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator

from vitrail.basics.settings import Settings
from vitrail.data.inspection.class_names import LONGEST_CLASS_NAME
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.description import Description
from vitrail.models.network_arguments import LARGEST_SIDE, MOST_CLASSES

FORMAT = "vitrail package"
FORMAT_VERSION = 1
"""The version that `write_package` writes, and the newest that `read_package` reads."""
OLDEST_VERSION = 1
"""The oldest version that `read_package` reads."""
ClassName = Annotated[str, Field(min_length=1, max_length=LONGEST_CLASS_NAME)]


class PackageFacts(Settings):
    """The facts that Vitrail keeps beside timm's own description; members it does not know are left out."""

    model_config = ConfigDict(extra="ignore")

    format_version: int = FORMAT_VERSION
    """See `FORMAT_VERSION`."""
    classes: Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=MOST_CLASSES)]
    """Class names, in the order of the logits."""
    preprocessing: Preprocessing
    """How an image is shown to the model."""
    metrics: dict[str, Any]
    """Figures that were measured, as JSON values."""
    provenance: dict[str, Any]
    """Where weights and data came from, as JSON values."""
    describes: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the files that these facts were written with; none in packages from before 0.2."""

    @field_validator("classes")
    @classmethod
    def _told_apart(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) < len(classes):
            twice, _ = Counter(classes).most_common(1)[0]
            raise ValueError(f"every class once was expected, {twice!r} is there twice")
        return classes

    @field_validator("preprocessing")
    @classmethod
    def _within_sense(cls, shown: Preprocessing) -> Preprocessing:
        fault = fault_of_preprocessing(shown)
        if fault:
            raise ValueError(fault)
        return shown


def fault_of_preprocessing(shown: Preprocessing) -> str | None:
    """What no picture could be prepared with, in words; None where all is well."""
    if not (1 <= shown.height <= LARGEST_SIDE and 1 <= shown.width <= LARGEST_SIDE):
        return f"an image of {shown.height}×{shown.width} pixels; sides of 1 to {LARGEST_SIDE} were expected"
    if not 0.05 <= shown.crop_fraction <= 2:
        return f"crop_fraction {shown.crop_fraction}; 0.05 to 2 was expected"
    if len(shown.mean) != shown.channels or len(shown.std) != shown.channels:
        return f"mean {shown.mean} and std {shown.std} for {shown.channels} channels; one value for each was expected"
    if not all(math.isfinite(value) and abs(value) <= 1e6 for value in shown.mean):
        return f"mean {shown.mean}; finite values were expected"
    if not all(1e-6 <= value <= 1e6 for value in shown.std):
        return f"std {shown.std}; values above zero were expected"
    return None


def contradiction(facts: PackageFacts, description: Description) -> str | None:
    """The first thing that `config.json` says otherwise than `vitrail.json`, in words; None when they agree."""
    for name, said, known in _said_twice(facts, description):
        if said is not None and said != known:
            return f"config.json says {name} {_shown(said)}, vitrail.json {_shown(known)}"
    return _other_size(facts.preprocessing, description)


def _said_twice(facts: PackageFacts, description: Description) -> Iterator[tuple[str, Any, Any]]:
    """What both files tell: its name, as config.json has it, and as vitrail.json has it."""
    shown, written = facts.preprocessing, description.written
    inner = written.get("pretrained_cfg", {})
    count = len(facts.classes)
    yield "num_classes", written.get("num_classes"), count
    yield "num_classes", inner.get("num_classes"), count
    yield "num_classes", description.model_args.get("num_classes"), count
    yield "label_names", _listed(written.get("label_names")), list(facts.classes)
    yield "input_size", _listed(inner.get("input_size")), [shown.channels, shown.height, shown.width]
    yield "in_chans", description.model_args.get("in_chans"), shown.channels
    yield "mean", _listed(inner.get("mean")), list(shown.mean)
    yield "std", _listed(inner.get("std")), list(shown.std)
    yield "crop_pct", inner.get("crop_pct"), shown.crop_fraction
    yield "crop_mode", inner.get("crop_mode"), shown.crop_mode
    yield "interpolation", inner.get("interpolation"), shown.interpolation


def _other_size(shown: Preprocessing, description: Description) -> str | None:
    """A network built for another image size, unless it takes any size or fills up the last patches."""
    built = description.model_args.get("img_size")
    takes_any = description.model_args.get("dynamic_img_size") or description.model_args.get("strict_img_size") is False
    if built is None or (takes_any and not description.model_args.get("dynamic_img_pad")):
        return None
    sides = tuple(built) if isinstance(built, list | tuple) else (built, built)
    filled_up = 64 if description.model_args.get("dynamic_img_pad") else 0
    fits = len(sides) == 2 and all(
        side <= given <= side + filled_up for given, side in zip(sides, (shown.height, shown.width), strict=True)
    )
    return None if fits else f"config.json says img_size {built}, vitrail.json {shown.height}×{shown.width} pixels"


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
