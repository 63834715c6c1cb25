"""What can be set for pretraining on formula images: the settings of every part that takes part in it."""

from vitrail.basics.settings import Settings
from vitrail.data.formula.settings import FormulaSettings
from vitrail.models.plain_vit import PlainVitSettings
from vitrail.models.pretrained_folder import KeptIn
from vitrail.training.formula_views import FormulaViewSettings
from vitrail.training.pretraining_settings import PretrainingSettings


class PretrainSettings(Settings):
    """Settings of `vitrail pretrain formula`; `PretrainSettings.gather` takes all of them by their own names."""

    seed: int = 0
    """Seed of the initial weights, of the order of images and of their views."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    weights_dtype: KeptIn = "float32"
    """How the finished weights are kept; `float16` takes half the space."""
    images: FormulaSettings
    """The formula images."""
    network: PlainVitSettings
    """The network."""
    views: FormulaViewSettings
    """How far a training view may differ from its image."""
    training: PretrainingSettings
    """How long and how fast it is trained."""
