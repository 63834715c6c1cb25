"""How a package wants answers to be made of probabilities."""

from vitrail.basics.errors import PackageError
from vitrail.models.package import Package
from vitrail.models.parts.decision import Decision


def package_decision(package: Package) -> Decision | None:
    """The package's part `decision`; None where it has none.

    Unlike other parts it is not left out where it cannot be read: whoever chose a threshold must not be given the
    answers of another one without a word.

    Raises:
        PackageError: the part makes no sense, is too new, or is about other classes.
    """
    if Decision.name not in package.parts:
        return None
    decision = package.part(Decision)
    if decision.classes != package.classes:
        raise PackageError(
            f"{package.folder}: its part {Decision.name!r} is about {', '.join(decision.classes[:5])}, the package "
            f"knows {', '.join(package.classes[:5])}",
            hint="decide again: vitrail decide RUN --out NEW",
        )
    return decision
