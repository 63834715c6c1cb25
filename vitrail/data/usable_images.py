"""The images that may be trained on and judged: what the check allows, divided into splits."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vitrail.basics.errors import FindingsError
from vitrail.basics.events import Emit, Noted
from vitrail.basics.printable import printable
from vitrail.data.columns import in_split, shared_folder, without_folder
from vitrail.data.image_settings import ImageSettings
from vitrail.data.inspection import Finding, Inspection
from vitrail.data.inspection.findings import counted, listed
from vitrail.data.split import SplitSettings, leaked_ids, split_rows, units_of
from vitrail.data.split_memory import SplitMemory

# What the check calls an error makes a fit impossible or meaningless, and is never trained on; what makes figures
# dishonest or labels doubtful is a warning, which the report says loudly.

TOLD_NOTES = ("tone", "passed-over")
"""Notes that a fit tells, too: what it does with the images, and which files it does not use."""

DETAILS_TOLD = 3
"""Lines of a finding that are shown while a fit runs; the report has all."""


def told_findings(inspection: Inspection, settings: ImageSettings) -> tuple[Finding, ...]:
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
    inspection: Inspection,
    settings: ImageSettings,
    split: SplitSettings,
    *,
    seed: int,
    before: SplitMemory | None = None,
    emit: Emit,
) -> pa.Table:
    """The readable rows with their split, or an error that lists what must be mended first.

    Args:
        inspection: what the check found.
        settings: which images may be used.
        split: how images without a split are divided.
        seed: of that division.
        before: the split of an earlier run, where its images are to stay on their sides; None: what `split` names.
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
    asked = split.splits_of
    if before is None and asked is not None:
        before = SplitMemory.of(Path(asked).expanduser())
    return split_rows(readable, split, seed=seed, before=before)


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
