"""What can be set about training: which stages, how long, how fast each layer learns."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from vitrail.basics.errors import InputError
from vitrail.training.optimization_settings import OptimizationSettings

STAGE_NAMES = ("head", "top", "all")
"""Stages in the order in which they may follow each other: the classifier, the last blocks, the whole network."""

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def _as_seconds(value: Any) -> Any:
    """`90`, `"90s"`, `"20m"`, `"1h30m"` to seconds; anything else stays as it is and is refused by its type."""
    if not isinstance(value, str):
        return value
    text = value.replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise ValueError("a time such as 90s, 20m or 1h30m was expected")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _as_stages(value: Any) -> Any:
    """`"head,top,all"` to its parts, `"probe"` to none; the order is the only one there is."""
    if isinstance(value, str):
        value = [] if value.strip() in ("probe", "") else [part.strip() for part in value.split(",")]
    if isinstance(value, list | tuple):
        unknown = [name for name in value if name not in STAGE_NAMES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no stage; stages are head, top and all, or probe alone")
        if list(value) != [name for name in STAGE_NAMES if name in value]:
            raise ValueError("stages go from head to top to all, each once")
        return tuple(value)
    return value


HEAD_RATES = {"adamw": 1e-3, "sgd": 1e-1}
"""Peak learning rates of the head stage where none was asked for; AdamW's is that of the articles Vitrail grew from."""


class TrainingSettings(OptimizationSettings):
    """How the model is trained beyond the probe. The top 3 blocks are those of the articles Vitrail grew from."""

    stages: Annotated[tuple[Literal["head", "top", "all"], ...] | None, BeforeValidator(_as_stages)] = None
    """Stages to train, e.g. `head,top,all`; `probe` trains none; None: by preset and number of images."""
    preset: Literal["quick", "standard", "thorough"] = "standard"
    """`quick` keeps the probe; `standard` and `thorough` train stages that suit the number of images."""
    time: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(_as_seconds)] = None
    """Seconds, or text such as `20m`, that training may take; epochs are chosen to fit, once, before it begins."""
    head_epochs: int | None = Field(default=None, ge=1)
    """Walks through the training images in the head stage; None: by preset and number of images."""
    top_epochs: int | None = Field(default=None, ge=1)
    """Walks through the training images in the stage of the top blocks; None: by preset and number of images."""
    all_epochs: int | None = Field(default=None, ge=1)
    """Walks through the training images in the stage of the whole network; None: by preset and number of images."""
    epochs_factor: float = Field(default=1.0, gt=0)
    """The default number of epochs of every stage times this; weights whose features are weak need longer."""
    in_doubt: Literal["probe", "trained"] = "probe"
    """What is kept where neither probe nor training is better beyond chance. The probe is the simpler model; weights
    whose frozen features are known to be weak ask for the trained one."""
    unfreeze: int = Field(default=3, ge=1)
    """Blocks that the top stage trains, one after the other from the last one down."""
    head_learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate of the head stage; None: 1e-3 for AdamW, 0.1 for SGD."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: images of rare classes count more, so that every class counts the same in all."""
    reweight_by: str | None = None
    """An attribute, e.g. `sex`: images of rare groups count more, in probe and training, so that every group of every
    class counts the same in all; None: none is looked at."""
    views: int | None = Field(default=None, ge=1)
    """Fixed augmented views per image in stages with frozen layers; None: by their epochs."""
    cache: Literal["auto", "on", "off"] = "auto"
    """Whether frozen layers are computed once per view and kept on disk; `auto`: where it pays and fits."""
    cache_gigabytes: float | None = Field(default=None, gt=0)
    """Disk space that the cache may take; None: half of what is free, 64 at most."""

    @model_validator(mode="after")
    def _refuse_two_weightings(self) -> "TrainingSettings":
        if self.reweight_by is not None and self.class_weights == "balanced":
            raise InputError(
                f"class_weights is balanced and reweight_by {self.reweight_by}: two ways to weigh the same images",
                hint="reweight_by lets every class count the same, too: leave class_weights out",
            )
        return self

    @property
    def head_peak_rate(self) -> float:
        """Peak learning rate of the head stage."""
        return self.head_learning_rate or HEAD_RATES[self.optimizer]
