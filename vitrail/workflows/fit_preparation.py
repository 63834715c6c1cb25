"""What every fit begins with: a model, images that may be used, and the certainty that they are the same as before."""

from dataclasses import dataclass

import torch

from vitrail.basics.devices import chosen_device
from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.seeds import derived_seed
from vitrail.data.inspection import Finding
from vitrail.data.split_memory import SplitMemory
from vitrail.features.feature_pass import FrozenModel
from vitrail.models.catalogue import BuiltModel, ModelSettings, build_model
from vitrail.models.chain import Chain
from vitrail.models.linear_head import with_linear_head
from vitrail.training.stages import planned_stages
from vitrail.workflows.fit_data import (
    FitImages,
    drawn_split_findings,
    fingerprint,
    preprocessing_for,
    told_findings,
    usable_rows,
)
from vitrail.workflows.fit_settings import FitSettings
from vitrail.workflows.fit_start import StartedFit

_MANY = 10**9
"""Images with which nothing but what was asked for decides on the stages."""


@dataclass(frozen=True)
class Prepared:
    """A model and images.

    Attributes:
        built: the model with its description.
        frozen: the same model with the preprocessing that it is used with, and where it is run.
        images: the image table with its splits.
        findings: what the check found, of the data and of the split that was drawn.
    """

    built: BuiltModel
    frozen: FrozenModel
    images: FitImages
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
    built = seeded_classifier(settings.model, settings.seed)
    planned_stages(settings.training, Chain(built.model), images=_MANY)  # refuses now what no data could make right
    emit(Noted(f"model    {built.architecture}: {built.weights.summary()}"))
    inspection = started.check.pending.result(emit)
    rows = usable_rows(inspection, settings, before=before, emit=emit)
    findings = (*told_findings(inspection, settings), *drawn_split_findings(inspection, rows, emit=emit))
    preprocessing = preprocessing_for(rows, built.preprocessing, settings, workers=started.check.workers)
    frozen = FrozenModel(built.model, preprocessing, built.weights_sha256, chosen_device(settings.pass_.device))
    images = FitImages(rows, sorted(set(rows["label"].to_pylist())), started.check.workers)
    return Prepared(built, frozen, images, findings)


def refuse_other_data(run: RunFolder, ready: Prepared, *, overwrite: bool) -> None:
    """An interrupted run is continued with the same images and weights only; `overwrite` begins it anew with others.

    Raises:
        InputError: they are others now.
    """
    now = {
        "images": ready.images.rows.num_rows,
        "data": fingerprint(ready.images.rows),
        "weights": ready.built.weights_sha256[:12],
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


def seeded_model(settings: ModelSettings, seed: int, *, num_classes: int | None = None) -> BuiltModel:
    """The model; whatever of it is random depends on the seed alone, and torch's own generator is left as it was.

    Args:
        settings: which model.
        seed: of the run.
        num_classes: width of its classifier; None: the weights' own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights"))
        return build_model(settings, num_classes=num_classes)


def seeded_classifier(settings: ModelSettings, seed: int, *, num_classes: int | None = None) -> BuiltModel:
    """The same, ready for a probe.

    Raises:
        InputError: its logits are no linear map of its features.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights"))
        return with_linear_head(build_model(settings, num_classes=num_classes))
