"""The model of a feature store: from a package, or from wherever `vitrail fit` takes one; and the scale it sees on."""

from dataclasses import dataclass, replace
from pathlib import Path

from vitrail.basics.devices import chosen_device
from vitrail.basics.errors import InputError
from vitrail.data.image_list import ImageList
from vitrail.data.inspection.sampled_tone import sampled_tone
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.store.manifest import Manifest
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import read_package
from vitrail.models.ready import ReadyModel
from vitrail.models.run_package import package_of
from vitrail.models.seeded import seeded_model

_FACTS = "vitrail.json"


@dataclass(frozen=True)
class NamedModel:
    """A model, in words where its weights come from, and whether it came as a package."""

    ready: ReadyModel
    origin: str
    is_package: bool = False


def named_model(settings: ModelSettings, *, device: str) -> NamedModel:
    """Load the model. Weights that are random are the same each time.

    Raises:
        InputError: no such model, it cannot be bent as asked, or a package was to be bent.
        PackageError: the package is damaged.
    """
    folder = package_of(Path(settings.name.removeprefix("local-dir:")).expanduser())
    chosen = chosen_device(device)
    if not (folder / _FACTS).is_file():
        built = seeded_model(settings, 0)
        return NamedModel(built.seen_through(built.preprocessing, chosen), built.weights.summary())
    bent = settings.model_dump(exclude_defaults=True, exclude={"name"})
    if bent:
        raise InputError(
            f"{folder} is a package, which is used as it is; {', '.join(bent)} was given beside it",
            hint="leave it out, or name the model that the package was made from",
        )
    package = read_package(folder)
    weights = package.digests["model.safetensors"]
    ready = ReadyModel(package.load_model(), package.preprocessing, weights, chosen, package.architecture)
    return NamedModel(ready, f"package {folder.name}", is_package=True)


def with_tone(named: NamedModel, images: ImageList, before: Manifest | None, *, workers: int) -> NamedModel:
    """The model with the scale on which images of more than 8 bits are shown.

    A package brings its own; a store keeps the one that it was begun with; else it is measured on the images.

    Raises:
        SystemFault: a worker process died.
    """
    if named.is_package:
        return named
    ready = named.ready
    tone = Preprocessing.parse(**before.preprocessing).tone if before else sampled_tone(images, workers=workers)
    shown = ready.preprocessing.model_copy(update={"tone": tone})
    return replace(named, ready=ready.seen_through(shown, ready.device))
