"""What can be set for `vitrail features`."""

from typing import Literal

from pydantic import Field

from vitrail.basics.settings import Settings
from vitrail.features.node_requests import POOLED
from vitrail.features.store.manifest import Kept
from vitrail.models.model_settings import ModelSettings


class FeaturesSettings(Settings):
    """Settings of `vitrail features`; `FeaturesSettings.gather` takes all of them by their own names."""

    nodes: str = POOLED
    """What is read of the model: `node` or `node=reduction`, with commas between; reductions are `cls` (class token),
    `mean` (over patches), `tokens` and `map`. `pooled` is what the classifier stands on."""
    runtime: str = "auto"
    """With what the model is run: `auto`: what suits this machine and tells the images apart as well as torch in
    float32; `torch`, `openvino`, `onnx`, or a full name such as `openvino bfloat16`. A store keeps to what it was begun
    with."""
    dtype: Kept = "float32"
    """How numbers are kept."""
    on_bad_image: Literal["stop", "skip"] = "stop"
    """Whether images that cannot be read make the command end with exit code 1. They are listed in either case, and
    tried again by the next call."""
    batch_size: int | None = Field(default=None, ge=1)
    """Images per forward pass; None: 8 on a processor, 64 on a GPU, or what the store was begun with."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    model: ModelSettings
    """The network."""
