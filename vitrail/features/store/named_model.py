"""The model of a feature store, and the scale on which it sees the store's images."""

from dataclasses import dataclass, replace

from vitrail.data.image_list import ImageList
from vitrail.data.inspection.sampled_tone import sampled_tone
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.store.manifest import Manifest
from vitrail.models.ready import ReadyModel


@dataclass(frozen=True)
class NamedModel:
    """A model, timm's name of its network, in words where its weights come from, and whether it came as a package."""

    frozen: ReadyModel
    architecture: str
    weights: str
    is_package: bool = False


def with_tone(named: NamedModel, images: ImageList, before: Manifest | None, *, workers: int) -> NamedModel:
    """The model with the scale on which images of more than 8 bits are shown.

    A package brings its own; a store keeps the one that it was begun with; else it is measured on the images.

    Raises:
        SystemFault: a worker process died.
    """
    if named.is_package:
        return named
    shown = named.frozen.preprocessing
    tone = Preprocessing.parse(**before.preprocessing).tone if before else sampled_tone(images, workers=workers)
    frozen = replace(named.frozen, preprocessing=shown.model_copy(update={"tone": tone}))
    return replace(named, frozen=frozen)
