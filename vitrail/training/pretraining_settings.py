"""What can be set about pretraining: how long, how fast, at which sizes."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from vitrail.training.optimization_settings import OptimizationSettings


def _as_sizes(value: Any) -> Any:
    """`"48,64"` or 64 to a tuple; anything else stays as it is."""
    if isinstance(value, int):
        return (value,)
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


class PretrainingSettings(OptimizationSettings):
    """How a model is pretrained: the whole network, all layers at the same rate.

    Sources: the peak rate of AdamW is that of VisualAtom and 1p-frac (Takashima et al. 2023, arXiv:2303.01112; Nakamura
    et al. 2024, arXiv:2408.00677); label smoothing 0.1 is theirs, too; weight decay 0.1 is that of the articles Vitrail
    grew from.
    """

    steps: int = Field(default=20_000, ge=1)
    """Steps of the run, rounded up to whole epochs."""
    steps_per_epoch: int = Field(default=500, ge=1)
    """Steps between two measurements on held-out images and on digits."""
    images_per_step: int = Field(default=128, ge=1)
    """Images whose mean gradient makes one step."""
    sizes: Annotated[tuple[Annotated[int, Field(ge=8)], ...], BeforeValidator(_as_sizes), Field(min_length=1)] = (64,)
    """Sides of the images in pixels, each for an equal part of the steps, e.g. `32,32,64`; figures and the finished
    weights are of the last one."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Each layer group learns at this share of the rate of the group behind it."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decay of matrices; biases, norms, positions and tokens are left alone."""
    warmup_fraction: float = Field(default=0.05, ge=0, le=1)
    """Part of the steps over which the learning rate rises."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of the target that is spread over all classes."""
    held_out_renderings: int = Field(default=1, ge=1)
    """Images of each class that are rendered beside the others and never trained on."""

    @property
    def epochs(self) -> int:
        """Whole epochs that hold the steps."""
        return -(-self.steps // self.steps_per_epoch)

    @property
    def total_steps(self) -> int:
        """The steps, rounded up to whole epochs."""
        return self.epochs * self.steps_per_epoch
