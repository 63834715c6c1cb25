"""What a pretraining on formula images hands to the training loop: a network without experience, batches, the job."""

import torch

from vitrail.basics.events import Emit, Noted, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.seeds import derived_seed
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.chain import Chain
from vitrail.models.plain_vit import PlainVitSettings, plain_vit
from vitrail.models.ready import ReadyModel
from vitrail.prediction.normalise import Normalise
from vitrail.training.digits_probe import PROBE, digits_probe
from vitrail.training.formula_batches import FormulaBatches, stored_near
from vitrail.training.formula_set import FormulaSet
from vitrail.training.formula_steps import StepPlan, formula_stage
from vitrail.training.formula_views import FormulaViewSettings
from vitrail.training.job import TrainingJob
from vitrail.training.objectives.classification import Classification
from vitrail.training.out_of_memory import Portions
from vitrail.training.pretraining_settings import PretrainingSettings
from vitrail.training.stages import CLASSIFICATION


def seeded_network(
    shape: PlainVitSettings, *, sizes: tuple[int, ...], classes: int, seed: int, emit: Emit = nobody
) -> ReadyModel:
    """The network, its weights drawn from the run's seed; see `plain_vit`."""
    built = plain_vit(shape, sizes=sizes, classes=classes, seed=derived_seed(seed, "weights"))
    emit(Noted(f"model    ViT of width {shape.width}, depth {shape.depth}, patch {shape.patch}: {built.parameters:,} "
               f"parameters with the classifier"))  # fmt: skip
    return built


def formula_batches(
    found: FormulaSet, shown: Preprocessing, device: torch.device, *, views: FormulaViewSettings,
    settings: PretrainingSettings, seed: int,
) -> FormulaBatches:  # fmt: skip
    """The steps' batches.

    Args:
        found: the images.
        shown: how the model sees an image.
        device: where steps are computed.
        views: how far a view may differ from its image.
        settings: how many steps of how many images, at which sizes.
        seed: of the run.
    """
    return FormulaBatches(
        stored=stored_near(found.pixels, device),
        labels=found.labels,
        classes=found.classes,
        views=views,
        normalise=Normalise(shown, device),
        images_per_step=settings.images_per_step,
        steps_per_epoch=settings.steps_per_epoch,
        seed=seed,
    )


def pretraining_job(
    run: RunFolder, chain: Chain, batches: FormulaBatches, found: FormulaSet, plan: StepPlan,
    settings: PretrainingSettings,
) -> TrainingJob:  # fmt: skip
    """All that the training loop needs.

    Args:
        run: where checkpoints and records are kept.
        chain: the network, where steps are computed.
        batches: of the steps.
        found: the images that judge an epoch.
        plan: how steps are computed.
        settings: how long and how fast it is trained.
    """
    device: torch.device = batches.normalise.device
    probe = digits_probe(
        found.held_out.preprocessing, device, seed=batches.seed, batch_size=found.held_out.batch_size
    )  # fmt: skip
    classes = tuple(f"class {number}" for number in range(found.classes))
    at_once = -(-settings.images_per_step // settings.accumulate)
    return TrainingJob(
        chain=chain,
        stages=(formula_stage(settings),),
        objectives={CLASSIFICATION: Classification(batches, batches.normalise, classes, settings.label_smoothing)},
        validation=found.held_out,
        sample=found.sample,
        settings=settings,
        precision=plan.precision,
        portions=Portions(at_once, run.all_noted("images_at_once"), run.note),
        device=device,
        seed=batches.seed,
        folder=run.work / "training",
        metrics=run.metrics,
        also_measured={PROBE: probe},
        keep_logits=False,
    )


def plan_words(plan: StepPlan, found: FormulaSet, settings: PretrainingSettings) -> str:
    """What will be trained, in a line."""
    sizes = ", then ".join(dict.fromkeys(str(size) for size in settings.sizes))
    return (
        f"plan     {settings.total_steps:,} steps of {settings.images_per_step} images in {settings.epochs} epochs, "
        f"{sizes} pixels, {len(found.pixels):,} images of {found.classes:,} classes, {plan.reason}"
    )
