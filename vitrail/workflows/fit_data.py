"""The images a fit may use: what the check allows, divided into splits, with the statistics that are theirs."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vitrail.basics.errors import FindingsError
from vitrail.basics.events import Emit, Noted
from vitrail.basics.printable import printable
from vitrail.basics.seeds import derived_seed
from vitrail.data.checked_files import checked_places
from vitrail.data.columns import LabelledImages, in_split, labels_of, shared_folder, without_folder
from vitrail.data.inspection import Finding, Inspection
from vitrail.data.inspection.findings import counted, listed
from vitrail.data.inspection.value_range import measured_tone
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.split import leaked_ids, split_rows, units_of
from vitrail.data.split_memory import SplitMemory
from vitrail.data.statistics import channel_statistics
from vitrail.workflows.fit_settings import FitSettings

# What the check calls an error makes a fit impossible or meaningless, and is never trained on; what makes figures
# dishonest or labels doubtful is a warning, which the report says loudly.

TOLD_NOTES = ("tone", "passed-over")
"""Notes that a fit tells, too: what it does with the images, and which files it does not use."""

DETAILS_TOLD = 3
"""Lines of a finding that are shown while a fit runs; the report has all."""


@dataclass(frozen=True)
class FitImages:
    """The rows of a fit and how they are read."""

    rows: pa.Table
    classes: list[str]
    workers: int

    def labelled(self, split: str, *, most: int | None = None, seed: int = 0) -> LabelledImages:
        """The images of a split; `most` takes a fixed sample."""
        part = in_split(self.rows, split)
        if most is not None and part.num_rows > most:
            generator = np.random.Generator(np.random.PCG64(derived_seed(seed, "sample", split)))
            part = part.take(np.sort(generator.choice(part.num_rows, most, replace=False)))
        return LabelledImages(checked_places(part), part["id"].to_pylist(), labels_of(part, self.classes))


def told_findings(inspection: Inspection, settings: FitSettings) -> tuple[Finding, ...]:
    """What the check found; what the user chose to go on with is no error any more, for none is trained on."""
    accepted = {
        "class-spelling": settings.class_names != "checked",
        "unreadable": settings.on_bad_image == "skip",
    }
    return tuple(
        replace(finding, severity="warning") if accepted.get(finding.code) else finding
        for finding in inspection.findings
    )


def usable_rows(
    inspection: Inspection, settings: FitSettings, *, before: SplitMemory | None = None, emit: Emit
) -> pa.Table:
    """The readable rows with their split, or an error that lists what must be mended first.

    Args:
        inspection: what the check found.
        settings: of the fit.
        before: the split of an earlier run, where its images are to stay on their sides; None: what the settings name.
        emit: receives what was found.

    Raises:
        FindingsError: a finding stands in the way of any fit; unreadable images do unless they are to be skipped.
        InputError: nothing is marked for training.
    """
    findings = told_findings(inspection, settings)
    blocking = [finding for finding in findings if finding.severity == "error"]
    if blocking:
        hint = blocking[0].hint
        if any(finding.code == "unreadable" for finding in blocking):
            hint = "mend or remove these files, or leave them out with --on-bad-image skip"
        raise FindingsError("the check found what must be mended first:\n" + "\n".join(map(_told, blocking)), hint=hint)
    folder = shared_folder(inspection.table)
    for finding in (each for each in findings if each.severity != "note" or each.code in TOLD_NOTES):
        lines = [f"\n         {printable(without_folder(detail, folder))}" for detail in finding.details[:DETAILS_TOLD]]
        emit(Noted(f"{finding.severity:<9}{finding.title}{''.join(lines)}", "warning"))
    readable = inspection.table.filter(pc.field("readable"))
    asked = settings.split.splits_of
    if before is None and asked is not None:
        before = SplitMemory.of(Path(asked).expanduser())
    return split_rows(readable, settings.split, seed=settings.seed, before=before)


def drawn_split_findings(inspection: Inspection, rows: pa.Table, *, emit: Emit) -> tuple[Finding, ...]:
    """What the check could not see, because the split was drawn after it: look-alikes of training images elsewhere, and
    classes that no validation image is of."""
    if not inspection.table["split"].null_count:
        return ()
    found = tuple(finding for finding in (_leaked(rows), _not_judged(rows)) if finding is not None)
    for finding in found:
        emit(Noted(f"{finding.severity:<9}{finding.title}", "warning"))
    return found


def _leaked(rows: pa.Table) -> Finding | None:
    leaked = leaked_ids(rows)
    paths = [path for path, identity in zip(*(rows[n].to_pylist() for n in ("path", "id")), strict=True)
             if identity in leaked]  # fmt: skip
    if not paths:
        return None
    return Finding(
        "near-duplicate-across-splits",
        "warning",
        f"{counted(len(paths), 'held-out image looks', 'held-out images look')} like a training image",
        tuple(paths),
        "give pictures of the same thing one group; the report has the accuracy without these images",
    )


def _not_judged(rows: pa.Table) -> Finding | None:
    judged = set(in_split(rows, "val")["label"].to_pylist())
    units = set(zip(rows["label"].to_pylist(), units_of(rows), strict=True))
    divisible = Counter(label for label, _ in units)  # a class of one unit was told by the check
    absent = sorted(label for label, count in divisible.items() if count > 1 and label not in judged)
    if not absent:
        return None
    return Finding(
        "class-not-in-validation",
        "warning",
        f"{counted(len(absent), 'class has', 'classes have')} no validation image, as the groups lie: {listed(absent)}",
        tuple(absent),
        "figures say nothing about these classes: add images of other groups, or mark images val in the column split",
    )


def _told(finding: Finding) -> str:
    return "\n".join([f"  - {finding.title}", *(f"      {printable(detail)}" for detail in finding.details)])


def preprocessing_for(
    rows: pa.Table, weights_own: Preprocessing, settings: FitSettings, *, workers: int
) -> Preprocessing:
    """The weights' preprocessing, adapted to the training images where that is wanted or needed.

    Images of more than 8 bits are shown on one scale, measured on all of them and stored in the package.
    """
    training = in_split(rows, "train")
    adapted = weights_own.model_copy(update={"tone": measured_tone(training)})
    if settings.normalization == "weights":
        return adapted
    mean, std = channel_statistics(checked_places(training), adapted, workers=workers)
    return adapted.model_copy(update={"mean": mean, "std": std, "normalization": "domain"})


def fingerprint(rows: pa.Table) -> str:
    """Twelve digits that change when any image, label, split or group does, and not when files are moved."""
    columns = [rows[name].to_pylist() for name in ("id", "label", "split", "group")]
    lines = sorted("\t".join(map(str, row)) for row in zip(*columns, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
