"""The accuracy that a package says it has, on images that were held out when it was made."""

from vitrail.measures.intervals import Measure
from vitrail.models.package import Package


def expected_accuracy(package: Package) -> Measure | None:
    """With its interval; None where the package says none, or what it says makes no sense."""
    try:
        quality = package.metrics["quality"]
        found = Measure.from_json(quality["splits"][quality["headline_split"]]["accuracy"])
        fine = found.low is not None and found.value is not None and 0 <= found.low <= found.value <= 1
    except (KeyError, TypeError):
        return None
    return found if fine else None
