"""What can be set for `vitrail study starter`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from vitrail.basics.settings import Settings
from vitrail.models.sources import STARTER
from vitrail.training.memory_training import MemoryTraining


def _as_rates(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Rate = Annotated[float, Field(gt=0)]


class StarterStudySettings(Settings):
    """Settings of `vitrail study starter`: the budget is the same for every arm."""

    model: str = STARTER
    """The weights that are studied: a plain ViT."""
    reference: str | None = None
    """Other weights beside them, e.g. `local-dir:FOLDER` with a ViT pretrained on photographs; any input of timm."""
    seeds: int = Field(default=5, ge=1)
    """Runs per data set and arm, with seeds 0, 1, …"""
    image_size: int = Field(default=64, ge=8)
    """Side of the images in pixels."""
    epochs: int = Field(default=20, ge=1)
    """Walks through the training images."""
    batch_size: int = Field(default=32, ge=1)
    """Images per step."""
    rates: Annotated[tuple[Rate, ...], BeforeValidator(_as_rates), Field(min_length=1)] = (5e-4, 1e-3)
    """Peak learning rates of AdamW; where there are several, every arm takes the one that answers best about a fifth of
    its training images, trained on the others with seed 0."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Decay of matrices, positions and tokens."""
    train: int | None = Field(default=None, ge=2)
    """Training images that are used, drawn anew with every seed, all classes in proportion; None: all."""
    labels_per_class: int | None = Field(default=None, ge=1)
    """Training images of every class that are used, drawn anew with every seed; None: all."""
    bfloat16: bool = False
    """Multiply in bfloat16 while training, faster on processors made for it; answers are computed in float32."""
    on_bad_image: Literal["stop", "skip"] = "stop"
    """Whether unreadable images stop the study, or are left out."""

    def training(self, rate: float) -> MemoryTraining:
        """How a network is trained with this peak learning rate."""
        return MemoryTraining(
            self.epochs, self.batch_size, rate, self.weight_decay, self.image_size // 16, self.bfloat16
        )

    @model_validator(mode="after")
    def _few_in_one_way(self) -> "StarterStudySettings":
        if self.train is not None and self.labels_per_class is not None:
            raise ValueError("either train or labels_per_class was expected, not both")
        return self
