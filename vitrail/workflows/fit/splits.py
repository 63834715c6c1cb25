"""The split of a fit beside those of earlier runs: kept where that was asked for, otherwise compared with."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.basics.events import Emit, Noted, Recovered
from vitrail.basics.replacing import REPLACED
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.run_standing import interrupted_note
from vitrail.data.split_images import SplitImages
from vitrail.data.split_memory import SPLIT_FILE, SplitMemory, latest_run_of, write_split
from vitrail.workflows.fit.settings import FitSettings
from vitrail.workflows.fit.start import StartedFit

DECISION = "split"
_WORDS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class EarlierSplits:
    """Read before the run folder is opened, which may set an earlier run aside.

    Attributes:
        kept: images of it stay where they were.
        compared: an earlier run of the same data, of which it is said how many images changed sides.
    """

    kept: SplitMemory | None = None
    compared: SplitMemory | None = None

    @classmethod
    def of(cls, started: StartedFit, settings: FitSettings) -> "EarlierSplits":
        """What the settings name, or else the last run of a data set of this name.

        Raises:
            DamagedError: what the run that was named keeps is damaged.
            InputError: the run that was named keeps no split.
        """
        asked = settings.split.splits_of
        if asked is None:
            found = latest_run_of(started.check.images.name, beside=started.out)
            return cls(compared=_sound_split(found) if found else None)
        named = Path(asked).expanduser()
        if interrupted_note(started.out, DECISION) is None:
            return cls(kept=SplitMemory.of(named))
        # An interrupted run that is continued may have set aside the very run that was named; it keeps what that kept.
        aside = started.out / REPLACED if named.resolve() == started.out.resolve() else named
        return cls(kept=_sound_split(started.out) or SplitMemory.of(aside))


def keep_split(
    run: RunFolder, images: SplitImages, earlier: EarlierSplits, *, data: str, emit: Emit
) -> tuple[str, ...]:
    """Keep the split in the run's folder, and say in a sentence what became of an earlier one; none where nothing did.

    Raises:
        SystemFault: the disk is full or may not be written.
    """
    noted = run.noted(DECISION)
    if noted is None:
        sentence = _kept(earlier.kept, images) if earlier.kept else _moved(earlier.compared, images)
        # Before the split is written: whoever is killed in between finds the earlier run, and the same sentence, again.
        run.note(DECISION, sentence=sentence)
    else:
        sentence = noted["sentence"]
    if _sound_split(run.path) is None or noted is None:
        if noted is not None and (run.path / SPLIT_FILE).exists():
            emit(Recovered(f"damaged  {run.path / SPLIT_FILE} is not what was written, and is written again"))
        write_split(run.path, images.rows, data=data)
    if sentence:
        emit(Noted(f"split    {sentence}"))
    return (sentence,) if sentence else ()


def _sound_split(run: Path) -> SplitMemory | None:
    """The split that a run keeps; None where it keeps none that can be believed."""
    try:
        return SplitMemory.of(run)
    except InputError:
        return None


def _kept(earlier: SplitMemory, images: SplitImages) -> str:
    identities = images.rows["id"].to_pylist()
    known = sum(identity in earlier.images for identity in identities)
    words = f"{known:,} of {len(identities):,} images stay on the side where they were in {earlier.run}"
    moved = sum(earlier.moved(images.rows).values())
    return f"{words}, except {moved:,} whose groups or given splits are others now." if moved else f"{words}."


def _moved(earlier: SplitMemory | None, images: SplitImages) -> str | None:
    changes: Counter[tuple[str, str]] = earlier.moved(images.rows) if earlier else Counter()
    if earlier is None or not changes:
        return None
    known = sum(identity in earlier.images for identity in images.rows["id"].to_pylist())
    words = ", ".join(
        f"{count:,} from {_WORDS[before]} to {_WORDS[now]}" for (before, now), count in sorted(changes.items())
    )
    return (
        f"{sum(changes.values()):,} of the {known:,} images that {earlier.run} knew changed sides ({words}): its "
        f"figures are of other images than these. --splits-of {earlier.run} keeps every image where it was."
    )
