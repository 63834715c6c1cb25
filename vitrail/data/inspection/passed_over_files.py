"""A finding about files that lie among the images and are passed over."""

from collections import Counter
from collections.abc import Iterator, Mapping

from vitrail.basics.natural_order import in_natural_order
from vitrail.data.inspection.findings import Finding, counted
from vitrail.data.passed_over import may_be_images

PassedOverByClass = Mapping[str, Mapping[str, int]]
"""Numbers of files by class and kind; those outside of class folders stand under an empty name."""

NOTHING: PassedOverByClass = {}


def passed_over_findings(passed_over: PassedOverByClass) -> Iterator[Finding]:
    """What was passed over, by kind and class; a warning where images may be among it."""
    kinds: Counter[str] = Counter()
    for counts in passed_over.values():
        kinds.update(counts)
    if not kinds:
        return
    images = any(map(may_be_images, kinds))
    yield Finding(
        "passed-over",
        "warning" if images else "note",
        f"{counted(kinds.total(), 'file was', 'files were')} passed over: {_listed(kinds)}",
        tuple(
            f"{label or '(outside of classes)'}: {_listed(passed_over[label])}"
            for label in in_natural_order(passed_over)
        ),
        "there are images among them: give those an extension that says so, and convert what no reader takes (DICOM, "
        "raw camera files) to PNG or TIFF"
        if images
        else "if such a folder is a class, give it another name: programs for training keep their runs in such ones"
        if any(kind.startswith("images in ") for kind in kinds)
        else "by their names these are no images",
    )


def _listed(kinds: Mapping[str, int]) -> str:
    return "; ".join(f"{count:,} × {kind}" for kind, count in Counter(kinds).most_common())
