"""The model of a feature store: from a package, or from wherever `vitrail fit` takes one."""

from pathlib import Path

from vitrail.basics.devices import chosen_device
from vitrail.basics.errors import InputError
from vitrail.features.store.named_model import NamedModel
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import read_package
from vitrail.models.ready import ReadyModel
from vitrail.models.run_package import package_of
from vitrail.models.seeded import seeded_model

_FACTS = "vitrail.json"


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
        frozen = ReadyModel(built.model, built.preprocessing, built.weights_sha256, chosen)
        return NamedModel(frozen, built.architecture, built.weights.summary())
    bent = settings.model_dump(exclude_defaults=True, exclude={"name"})
    if bent:
        raise InputError(
            f"{folder} is a package, which is used as it is; {', '.join(bent)} was given beside it",
            hint="leave it out, or name the model that the package was made from",
        )
    package = read_package(folder)
    weights = package.digests["model.safetensors"]
    frozen = ReadyModel(package.load_model(), package.preprocessing, weights, chosen)
    return NamedModel(frozen, package.architecture, f"package {folder.name}", is_package=True)
