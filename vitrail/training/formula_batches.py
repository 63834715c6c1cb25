"""The batches of pretraining on formula images: rows of a stored set, seen anew in every step."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vitrail.basics.seeds import derived_seed
from vitrail.features.prefix_cache import PrefixCache
from vitrail.models.inputs import States
from vitrail.prediction.normalise import Normalise
from vitrail.training.ahead import made_ahead
from vitrail.training.batch import Batch
from vitrail.training.batches import shuffled
from vitrail.training.formula_views import FormulaViewSettings, formula_views
from vitrail.training.stages import Stage

DEVICE_SHARE = 0.5
"""Part of a GPU's free memory that the stored images may take."""


@dataclass(frozen=True)
class FormulaBatches:
    """Stored formula images, and how steps are made of them; see `TrainingData`.

    All images are walked through in a new order again and again; where one walk ends within a step, the next begins.

    Attributes:
        stored: the images, all of the same size; on disk, in memory or on the device.
        labels: class numbers.
        classes: how many there are.
        views: how far a view may differ from its image.
        normalise: to the model's input; also says on which device steps are computed.
        images_per_step: of every step.
        steps_per_epoch: steps between two validations.
        seed: of order and views.
    """

    stored: UInt8[np.ndarray, "N S S C"] | UInt8[Tensor, "N S S C"]
    labels: Int[np.ndarray, "N"]
    classes: int
    views: FormulaViewSettings
    normalise: Normalise
    images_per_step: int
    steps_per_epoch: int
    seed: int

    def rows(self, step: int) -> Int[np.ndarray, "B"]:
        """Which images make a step: a function of seed and step alone."""
        count = len(self.labels)
        places = np.arange(step * self.images_per_step, (step + 1) * self.images_per_step)
        walks = places // count
        orders = [shuffled(self.seed, "formula", int(walk), count)[places[walks == walk] % count]
                  for walk in np.unique(walks)]  # fmt: skip
        return np.concatenate(orders)

    def batch(self, stage: Stage, step: int) -> Batch:
        """The normalised views of a step, on the device, in the size that the stage has come to."""
        rows = self.rows(step)
        size = stage.size_at(step, stage.epochs * self.steps_per_epoch) or self.stored.shape[1]
        seed = derived_seed(self.seed, "views", step)
        views = formula_views(self._pixels(rows), self.views, size=size, seed=seed)
        labels: Tensor = torch.from_numpy(self.labels[rows])
        if self.views.mixup:
            views, labels = mixed(views, labels, self._share(step), classes=self.classes)
        inputs = views.sub_(self.normalise.mean).div_(self.normalise.std)
        return Batch((States(inputs, 0),), rows, torch.ones(len(rows)), labels)

    def batches(self, stage: Stage, *, first_step: int, cache: PrefixCache | None) -> Iterator[Batch]:
        """The batches from `first_step` on, made by a thread while the steps before them are computed."""
        assert cache is None, "formula images are never seen twice in the same way"
        return made_ahead(partial(self.batch, stage), range(first_step, stage.epochs * self.steps_per_epoch))

    def names(self, _stage: Stage, step: int) -> list[str]:
        """Class and rendering of the images of a step."""
        return [f"class {row % self.classes}, rendering {row // self.classes}" for row in self.rows(step).tolist()]

    def _pixels(self, rows: Int[np.ndarray, "B"]) -> UInt8[Tensor, "B S S C"]:
        if isinstance(self.stored, Tensor):
            return self.stored[torch.from_numpy(rows).to(self.stored.device)]
        return torch.from_numpy(np.asarray(self.stored[rows])).to(self.normalise.device)

    def _share(self, step: int) -> float:
        dice = np.random.default_rng(derived_seed(self.seed, "mixup", step))
        return float(dice.beta(self.views.mixup, self.views.mixup))


def mixed(
    views: Float[Tensor, "B C H W"], labels: Int[Tensor, "B"], share: float, *, classes: int
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B K"]]:
    """Every view laid over another one, which keeps `1 - share` of the brightness, and the classes' shares.

    Source: mixup (Zhang et al. 2018, arXiv:1710.09412), in batches turned around, as timm pairs them.
    """
    certain = torch.nn.functional.one_hot(labels, classes).float()
    return share * views + (1 - share) * views.flip(0), share * certain + (1 - share) * certain.flip(0)


def stored_near(
    pixels: UInt8[np.ndarray, "N S S C"], device: torch.device
) -> UInt8[np.ndarray, "N S S C"] | UInt8[Tensor, "N S S C"]:
    """The stored images on the GPU, where it has room for them; otherwise as they are."""
    if device.type != "cuda" or pixels.nbytes > DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return pixels
    return torch.from_numpy(np.array(pixels)).to(device)
