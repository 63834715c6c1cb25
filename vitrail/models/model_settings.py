"""What can be chosen about a model before it is built."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from vitrail.basics.errors import InputError
from vitrail.basics.settings import Settings
from vitrail.models.network_arguments import LARGEST_SIDE
from vitrail.models.rates import Rate

Position = Literal["weights", "none", "1d", "2d", "relative"]
Pooling = Literal["weights", "token", "avg", "map"]


class ModelSettings(Settings):
    """Which network, which weights, and how the network is bent before training."""

    name: str
    """`starter`, timm name with or without tag, `hf-hub:org/name`, `local-dir:PATH`, or a folder's or weights file's
    path. A folder is timm's, or one of ViT, DeiT or DINOv2 as the transformers library writes it."""
    architecture: str | None = None
    """timm name of the network; only for a bare weights file, which does not say it itself."""
    image_size: int | tuple[int, int] | None = None
    """Side, or (height, width), of the input in pixels; by default what the weights were trained with."""
    patch_size: int | None = Field(default=None, ge=1, le=LARGEST_SIDE)
    """Side of a patch in pixels; by default the weights' own. Their patch projection is resampled, as timm does
    (pseudo-inverse of the resize, L. Beyer et al. 2023, arXiv:2212.08013), and their positions go to the new grid."""
    pad: bool = False
    """Accept sizes that the patch does not divide: the right and lower edge are padded with zeros."""
    position: Position = "weights"
    """Position embedding: as the weights have it, none, learned per patch (1d), per row and column (2d), relative."""
    pooling: Pooling = "weights"
    """How tokens become one feature vector: as the weights have it, class token, average, or attention pooling."""
    pretrained: bool = True
    """Start from pretrained weights; otherwise from timm's random initialisation."""
    drop_path: Rate = 0.0
    """Probability that the deepest block is skipped in training (stochastic depth, rising linearly with depth); 0 or
    none: off."""
    dropout: Rate = 0.0
    """Probability that a value is dropped in training: behind the positions, and behind the projections of attention
    and MLP; 0 or none: off."""
    attention_dropout: Rate = 0.0
    """Probability that one token's attention to another is dropped in training; 0 or none: off."""

    @field_validator("name", mode="before")
    @classmethod
    def _refuse_no_name(cls, value: Any) -> Any:
        if isinstance(value, Path):
            return str(value)
        if not isinstance(value, str):  # not left to pydantic, which would print the whole module
            raise InputError(
                f"the model was given as {type(value).__name__}; a name, a folder or a weights file was expected",
                hint="a model in memory is for vitrail.create_feature_extractor; timm.models.save_for_hf writes it "
                "into a folder, which is named local-dir:FOLDER",
            )
        return value

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) that was asked for, in pixels."""
        return (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size
