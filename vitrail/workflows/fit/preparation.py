"""What every fit begins with: a model, images that may be used, and the certainty that they are the same as before."""

from dataclasses import dataclass

from vitrail.basics.devices import chosen_device
from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.data.adapted_preprocessing import adapted_preprocessing
from vitrail.data.inspection import Finding
from vitrail.data.split_images import SplitImages, fingerprint
from vitrail.data.split_memory import SplitMemory
from vitrail.data.usable_images import drawn_split_findings, told_findings, usable_rows
from vitrail.models.ready import ReadyModel
from vitrail.models.seeded import seeded_classifier
from vitrail.training.image_stages import training_weights
from vitrail.training.stages import planned_stages
from vitrail.workflows.fit.settings import FitSettings
from vitrail.workflows.fit.start import StartedFit

_MANY = 10**9
"""Images with which nothing but what was asked for decides on the stages."""


@dataclass(frozen=True)
class Prepared:
    """A model and images.

    Attributes:
        model: with the preprocessing that it is used with, and where it is run.
        images: the image table with its splits.
        findings: what the check found, of the data and of the split that was drawn.
    """

    model: ReadyModel
    images: SplitImages
    findings: tuple[Finding, ...]


def prepare(started: StartedFit, settings: FitSettings, *, before: SplitMemory | None = None, emit: Emit) -> Prepared:
    """Build the model while images are being read, then take what the check lets through.

    Args:
        started: a fit whose images are being read.
        settings: its settings.
        before: the split of an earlier run, where its images are to stay on their sides.
        emit: receives what was found.

    Raises:
        FindingsError: the check found something that must be mended first.
        InputError: no such model, it cannot be bent or trained as asked, or no probe can be put on it.
    """
    model = seeded_classifier(settings.model, settings.seed)
    planned_stages(settings.training, model.chain, images=_MANY)  # refuses now what no data could make right
    emit(Noted(f"model    {model.architecture}: {model.weights.summary()}"))
    inspection, workers = started.check.pending.result(emit), started.check.workers
    rows = usable_rows(inspection, settings.images, settings.split, seed=settings.seed, before=before, emit=emit)
    findings = (*told_findings(inspection, settings.images), *drawn_split_findings(inspection, rows, emit=emit))
    shown = adapted_preprocessing(model.preprocessing, rows, settings.images, workers=workers)
    model = model.seen_through(shown, chosen_device(settings.device))
    images = SplitImages.of(rows, workers=workers)
    training_weights(images, settings.training)  # refuses an attribute that there is not before anything is computed
    return Prepared(model, images, findings)


def refuse_other_data(run: RunFolder, prepared: Prepared, *, overwrite: bool) -> None:
    """An interrupted run is continued with the same images and weights only; `overwrite` begins it anew with others.

    Raises:
        InputError: they are others now.
    """
    now = {
        "images": prepared.images.rows.num_rows,
        "data": fingerprint(prepared.images.rows),
        "weights": prepared.model.weights_sha256[:12],
    }
    before = run.noted("data") or now
    changed = [f"  - {name}: was {before[name]}, now {value}" for name, value in now.items() if before[name] != value]
    if changed and overwrite:
        run.begin_anew()
    elif changed:
        raise InputError(
            f"{run.path}: an interrupted run with other data or weights stands there:\n" + "\n".join(changed),
            hint="put them back, choose another --out, or begin anew with --overwrite",
        )
    if run.noted("data") is None:
        run.note("data", **now)
