"""What optimisation needs, whatever is trained: the same for a fit and for pretraining."""

from typing import Literal

from pydantic import Field

from vitrail.basics.settings import Settings

PEAK_RATES = {"adamw": 5e-4, "sgd": 5e-2}
"""Peak learning rates where none was asked for."""


class OptimizationSettings(Settings):
    """How steps are computed and how fast is learned.

    Defaults: weight decay 0.01, 10 % warm-up and clipping at 1 are those of the articles Vitrail grew from; layer decay
    0.75 and the peak rate 5e-4 are those of MAE's fine-tuning recipe (He et al. 2021, table 9), whose rate is for steps
    of 256 images; with steps of 32 it was tried on 425 CT slices, with one seed.
    """

    images_per_step: int | None = Field(default=None, ge=1)
    """Images whose mean gradient makes one step; None: 32, or all where there are fewer."""
    accumulate: int = Field(default=1, ge=1)
    """Parts into which a step's images are divided to save memory; the step stays the same."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with momentum."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate of the last layer, but in the head stage; None: 5e-4 for AdamW, 5e-2 for SGD."""
    slower_layers: Literal["decay", "stem-and-first-blocks"] = "decay"
    """How much slower earlier layers learn: by `layer_decay` from group to group, or, as in the articles Vitrail grew
    from, a tenth of the rate in the stem (patches, positions, tokens), half of it in the first two blocks."""
    layer_decay: float = Field(default=0.75, gt=0, le=1)
    """Each layer group learns at this share of the rate of the group behind it."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decay of matrices; biases, norms, positions and tokens are left alone."""
    warmup_fraction: float = Field(default=0.1, ge=0, le=1)
    """Part of a stage's steps over which the learning rate rises."""
    floor_fraction: float = Field(default=0.01, ge=0, le=1)
    """Share of its peak that every learning rate keeps at the end of a stage."""
    clip: float = Field(default=1.0, ge=0)
    """Largest norm of the gradient; 0 leaves it as it is."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target that is spread over all classes."""
    gradient_checkpointing: bool = False
    """Compute blocks twice to keep less in memory."""
    training_precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 where this machine computes in it and agrees with float32 on these images; `bfloat16` keeps
    weights in float32 and multiplies in bfloat16; `float16` likewise, with a scaled loss, for GPUs without bfloat16."""
    checkpoint_seconds: float = Field(default=60.0, ge=0)
    """Least time between two checkpoints; they are rarer where writing one takes more than a hundredth of that."""
    carry_optimizer: bool = False
    """Whether a stage takes over the optimiser's moments from the stage before."""

    @property
    def peak_rate(self) -> float:
        """Peak learning rate of the last layer."""
        return self.learning_rate or PEAK_RATES[self.optimizer]
