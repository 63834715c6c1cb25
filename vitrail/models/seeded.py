"""Models whose random weights depend on a seed alone."""

import torch

from vitrail.basics.seeds import derived_seed
from vitrail.models.catalogue import build_model
from vitrail.models.linear_head import with_linear_head
from vitrail.models.model_settings import ModelSettings
from vitrail.models.ready import ReadyModel


def seeded_model(settings: ModelSettings, seed: int, *, num_classes: int | None = None) -> ReadyModel:
    """The model; whatever of it is random depends on the seed alone, and torch's own generator is left as it was.

    Args:
        settings: which model.
        seed: of the run.
        num_classes: width of its classifier; None: the weights' own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights"))
        return build_model(settings, num_classes=num_classes)


def seeded_classifier(settings: ModelSettings, seed: int, *, num_classes: int | None = None) -> ReadyModel:
    """The same, ready for a probe.

    Raises:
        InputError: its logits are no linear map of its features.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights"))
        return with_linear_head(build_model(settings, num_classes=num_classes))
