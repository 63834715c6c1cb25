"""Who is judged, on which images, and what both say of them."""

from dataclasses import dataclass
from pathlib import Path

from vitrail.basics.errors import InputError, PackageError
from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.data.checked_files import checked_places
from vitrail.evaluation.chosen_images import ChosenImages
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.prediction.answers import gathered_answers
from vitrail.prediction.kept_answers import kept_answers
from vitrail.prediction.predictor import Predictor, load
from vitrail.rollout.admission.contest import Contender, Contest
from vitrail.rollout.admission.policy import AdmissionPolicy
from vitrail.rollout.version_names import STABLE, version_name
from vitrail.rollout.version_records import Version
from vitrail.rollout.version_store import VersionStore

NOBODY = "none"
"""What is said for `against` where there shall be no predecessor."""


@dataclass(frozen=True)
class Entered:
    """A candidate and the version that it may replace, with their packages.

    Attributes:
        candidate: that wants to be admitted.
        stable: that it may replace; None: it is the first of its name.
        candidate_folder, stable_folder: of their packages, every byte checked.
    """

    candidate: Version
    stable: Version | None
    candidate_folder: Path
    stable_folder: Path | None


def entered_versions(store: VersionStore, version: str, against: str) -> Entered:
    """Both versions by their names.

    Args:
        store: that holds them.
        version: the candidate, e.g. `flowers@7`.
        against: an alias or number of the same name (`stable`, `3`), a whole name (`flowers@3`), or `none`. Where
            nothing is called `stable` yet, there is no predecessor.

    Raises:
        InputError: there is no such version, or both are the same.
        PackageError: a package was changed in the store.
    """
    candidate = store.version(version)
    stable = _predecessor(store, candidate, against)
    if stable is not None and stable.digest == candidate.digest:
        raise InputError(
            f"{candidate.id} is {against} itself: there is nothing to admit", hint=f"vitrail versions {candidate.name}"
        )
    return Entered(candidate, stable, store.folder(candidate.id), None if stable is None else store.folder(stable.id))


def _predecessor(store: VersionStore, candidate: Version, against: str) -> Version | None:
    if against == NOBODY:
        return None
    name = version_name(against if "@" in against else f"{candidate.name}@{against}")
    known = {alias for each in store.versions(name.name) for alias in each.aliases}
    return None if name.alias == STABLE and STABLE not in known else store.version(name)


def loaded_stable(entered: Entered, policy: AdmissionPolicy) -> Predictor | None:
    """The version that serves; that it cannot be loaded is no fault of the candidate.

    Raises:
        PackageError: it cannot be loaded.
    """
    return None if entered.stable_folder is None else load(entered.stable_folder, device=policy.device)


def contest_of(
    run: RunFolder, entered: Entered, both: tuple[Predictor, Predictor | None], images: ChosenImages,
    policy: AdmissionPolicy, workers: int, emit: Emit,
) -> Contest:  # fmt: skip
    """What both say of the images; what was said before an interruption is kept.

    Raises:
        PackageError: an answer of the candidate is no number.
        InputError: no image can be read.
    """
    for sentence in images.told:
        emit(Noted(f"images   {sentence}"))

    def contender(version: Version, predictor: Predictor, what: str) -> Contender:
        places, folder = checked_places(images.rows), run.work / f"answers-{what}"
        parts = kept_answers(
            predictor, places, folder, workers=workers, emit=run.journaled(emit), work=f"answers of {version.id}"
        )
        judged = JudgedImages.of_answers(images.rows, gathered_answers(parts), measured_on=images.measured_on)
        return Contender(version.id, predictor, judged)

    predictor, other = both
    stable = None
    if entered.stable is not None and other is not None:
        try:
            stable = contender(entered.stable, other, "stable")
        except PackageError as error:
            raise InputError(
                f"{entered.stable.id}, which is there, does not answer: {error.message}",
                hint="compare with another version: --against NAME@N",
            ) from error
    return Contest(contender(entered.candidate, predictor, "candidate"), stable, policy, workers, emit)
