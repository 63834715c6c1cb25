"""The model that is looked into: a package with its classes, or whatever `vitrail fit` takes."""

from dataclasses import dataclass
from pathlib import Path

from vitrail.features.store.named_model import named_model
from vitrail.models.model_settings import ModelSettings
from vitrail.models.run_package import package_of
from vitrail.prediction.predictor import load
from vitrail.prediction.unit_pixels import Seeing

_FACTS = "vitrail.json"


@dataclass(frozen=True)
class LookedModel:
    """A model with the names of its classes, as far as they are known.

    Attributes:
        seeing: network, preprocessing and device.
        classes: in the order of the logits; empty where nobody says.
        name: what it is called.
        digest: SHA-256 of its weights.
    """

    seeing: Seeing
    classes: tuple[str, ...]
    name: str
    digest: str


def looked_model(name: str | Path, *, device: str = "auto") -> LookedModel:
    """Load a package, a run folder's package, or a model by the names that `fit` knows.

    Raises:
        InputError: there is no such model.
        PackageError: the package is damaged.
    """
    folder = package_of(Path(str(name).removeprefix("local-dir:")).expanduser())
    if (folder / _FACTS).is_file():
        predictor = load(folder, device=device)
        called = folder.parent.name if folder.name == "package" else folder.name
        return LookedModel(predictor, tuple(predictor.classes), called, predictor.package.digests["model.safetensors"])
    ready = named_model(ModelSettings.parse(name=str(name)), device=device).ready
    labels = ready.pretrained_cfg.get("label_names") or ()
    return LookedModel(ready, tuple(map(str, labels)), str(name), ready.weights_sha256)
