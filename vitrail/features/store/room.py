"""What stands in a folder that a store is to be written to: what is not ours is refused, what is damaged makes room."""

from collections.abc import Sequence
from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.basics.locks import LOCK_NAME
from vitrail.basics.replacing import BEING_MOVED, REPLACED, bring_back, put_back, remove
from vitrail.features.store.manifest import MANIFEST, SHARDS, UNFINISHED, Manifest, Output
from vitrail.features.store.shards import drop_shard, is_sound_shard, shard_file, shards_there
from vitrail.features.store.staging import STATE, Staging

_OURS = (LOCK_NAME, REPLACED, BEING_MOVED)


def refuse_foreign(folder: Path) -> None:
    """Raise where something else than a store stands.

    Raises:
        InputError: it does, or a newer Vitrail's store, or one whose manifest is damaged.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file stands where the store's folder should be", hint="choose another --out")
    others = [entry.name for entry in folder.iterdir() if entry.name not in _OURS] if folder.exists() else []
    if Manifest.stands_in(folder):
        Manifest.read(folder)  # a newer Vitrail's is refused
    elif others and not (folder / UNFINISHED).is_dir():
        raise InputError(
            f"{folder}: the folder exists, is not empty and is no feature store ({', '.join(sorted(others)[:3])})",
            hint="choose another --out; Vitrail never replaces what it did not make",
        )


def end_what_was_interrupted(folder: Path) -> None:
    """Put back a store that was making room, or had made room for one of which nothing came."""
    put_back(folder)
    if (folder / REPLACED).is_dir() and not (folder / MANIFEST).exists() and not shards_there(folder):
        remove(folder / SHARDS)
        bring_back(folder)


def drop_damaged(folder: Path, outputs: Sequence[Output]) -> list[str]:
    """Make room for the rows of damaged shards, which are computed again as far as the data has their images; give a
    sentence for each."""
    lost = [number for number in range(shards_there(folder)) if not is_sound_shard(folder, number)]
    for number in lost:
        drop_shard(folder, number, outputs)
    progress = Staging.stored(folder / UNFINISHED)
    if progress is not None and any(number >= progress.first_shard for number in lost):
        (folder / UNFINISHED / STATE).unlink()  # this pass had gone past their images
    names = [shard_file(folder, number).name for number in lost]
    return [f"{name}: its rows are computed again; what is left of it stays as {name}.damaged" for name in names]
