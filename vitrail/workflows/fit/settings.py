"""What can be set for a fit: the settings of every part that takes part in it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vitrail.basics.settings import Settings
from vitrail.data.augmentation import AugmentationSettings
from vitrail.data.image_settings import ImageSettings
from vitrail.data.split import SplitSettings
from vitrail.features.feature_pass import PassSettings
from vitrail.features.probe import ProbeSettings
from vitrail.models.model_settings import ModelSettings
from vitrail.training.image_stages import ArmSettings
from vitrail.training.settings import TrainingSettings

DEFAULT_MODEL = "vit_small_patch16_224.augreg_in21k_ft_in1k"
"""22 million parameters, Apache-2.0: strong features at a size that two processor cores can bear."""


def _as_names(value: Any) -> Any:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class FitSettings(Settings):
    """Settings of `vitrail fit`; `FitSettings.gather` takes all of them by their own names."""

    seed: int = 0
    """Seed of the split and of every other choice made by lot."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    thumbnails: bool = True
    """Whether the report shows small pictures of the most wrong images."""
    compare: Literal["none", "scratch"] = "none"
    """`scratch`: train the same network from nothing with as many steps, and report what pretraining gained."""
    random_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    """What answering by chance reaches, for the normalised gain of `compare`; None: one divided by the classes."""
    log: Annotated[tuple[Literal["tensorboard", "mlflow"], ...], BeforeValidator(_as_names)] = ()
    """Where the figures of every epoch are sent beside `metrics.jsonl`: `tensorboard`, `mlflow` or both."""
    model: ModelSettings
    """The backbone."""
    images: ImageSettings
    """Which images are used, and on which scale they are seen."""
    split: SplitSettings
    """How images without a split are divided."""
    pass_: PassSettings
    """How the feature pass is run."""
    probe: ProbeSettings
    """How the probe is fitted."""
    training: TrainingSettings
    """What is trained beyond the probe, and how."""
    augmentation: AugmentationSettings
    """How far a training view may differ from its picture."""

    @property
    def arm(self) -> ArmSettings:
        """What a training on the images depends on."""
        return ArmSettings(self.training, self.augmentation, self.pass_, self.seed)
