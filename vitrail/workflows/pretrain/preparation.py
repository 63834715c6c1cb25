"""What every pretraining on formula images begins with: a network without experience, images, and batches of them."""

from dataclasses import dataclass
from pathlib import Path

from vitrail.basics.devices import chosen_device
from vitrail.basics.events import Emit
from vitrail.basics.files import cache_folder
from vitrail.data.workers import usable_cores
from vitrail.models.ready import ReadyModel
from vitrail.training.formula_batches import FormulaBatches
from vitrail.training.formula_set import FormulaSet, formula_set
from vitrail.training.pretraining import formula_batches, seeded_network
from vitrail.workflows.pretrain.settings import PretrainSettings


@dataclass(frozen=True)
class Beginning:
    """The network, where steps are computed; the images; the batches of the steps."""

    model: ReadyModel
    images: FormulaSet
    batches: FormulaBatches


def begin(settings: PretrainSettings, *, images: Path | None, workers: int | None, emit: Emit) -> Beginning:
    """Draw the network, render what is not rendered yet.

    Args:
        settings: of the run.
        images: where formula images are kept; None: in Vitrail's cache.
        workers: processes that render; None: one per core.
        emit: receives progress.

    Raises:
        InputError: settings that do not fit each other, or another process renders this set.
        SystemFault: the disk has no room.
    """
    training, device, folder = settings.training, chosen_device(settings.device), images or cache_folder() / "formula"
    model = seeded_network(
        settings.network, sizes=training.sizes, classes=settings.images.classes, seed=settings.seed, emit=emit
    )
    found = formula_set(
        settings.images, model.preprocessing, folder, held_out_renderings=training.held_out_renderings,
        workers=usable_cores() if workers is None else workers, emit=emit,
    )  # fmt: skip
    batches = formula_batches(
        found, model.preprocessing, device, views=settings.views, settings=training, seed=settings.seed
    )
    model.model.to(device)
    if training.gradient_checkpointing:
        model.use_gradient_checkpointing()
    return Beginning(model, found, batches)
