"""The stored set of formula images: rendered once by all cores, kept on disk, continued after any death."""

import functools
import hashlib
import json
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from vitrail.basics.errors import SystemFault
from vitrail.basics.events import Emit, Noted, WorkAdvanced, WorkEnded, WorkStarted, nobody
from vitrail.basics.files import explained_os_errors, free_bytes, write_json
from vitrail.basics.locks import locked
from vitrail.data.formula.rendering import formula_class, formula_image
from vitrail.data.formula.settings import FormulaSettings
from vitrail.data.workers import map_in_workers

RECIPE = 1
"""Counts changes of the formulas: images of another recipe are not taken for these."""

PIECE = 32
"""Renderings of a class that are drawn, checked and counted together."""

_MARK = np.dtype([("done", np.uint8), ("redrawn", np.uint8), ("check", np.uint32)])

Piece = tuple[int, int, int]
"""A class, its first rendering and the one behind its last."""


@dataclass(frozen=True)
class StoredFormulaImages:
    """N = renderings · classes images; image i is rendering i // classes of class i % classes.

    Attributes:
        pixels: the images; read-only, on disk.
        labels: the number of each image's class.
        redrawn: how often the numbers of a class were drawn again because they gave an almost empty image.
    """

    pixels: UInt8[np.ndarray, "N S S 3"]
    labels: Int[np.ndarray, " N"]
    redrawn: int

    def __len__(self) -> int:
        return len(self.pixels)


def stored_formula_images(
    settings: FormulaSettings, folder: Path, *, workers: int, emit: Emit = nobody
) -> StoredFormulaImages:
    """The images that `settings` describe, rendered as far as they are not in `folder` yet.

    What is there is compared with the checksums that were taken when it was rendered; what does not fit (a killed
    process, a bad disk, an altered file) is rendered again. The bytes do not depend on workers or interruptions.

    Args:
        settings: of the set; sets with other settings stand side by side in one folder.
        folder: where the sets are kept.
        workers: processes that render; 0 renders in this one.
        emit: told about progress, and about classes that were drawn again.

    Raises:
        InputError: another process renders this set.
        SettingsError: the numbers of a class cannot be drawn, see `formula_class`.
        SystemFault: the disk has no room, or the folder may not be written.
    """
    place = folder / _name_of(settings)
    with explained_os_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        lock = locked(place, thing="set of formula images")
    try:
        pixels, marks = _opened(settings, place)
        missing = _missing(settings, pixels, marks, emit=emit)
        _render(settings, place, missing, marks=marks, workers=workers, emit=emit)
    finally:
        lock.release()
    redrawn = int(marks["redrawn"][:: _pieces_per_class(settings)].sum())
    if redrawn:
        emit(Noted(f"numbers were drawn again {redrawn} times because their image was almost empty"))
    pixels.flags.writeable = False
    return StoredFormulaImages(pixels, np.arange(len(pixels), dtype=np.int64) % settings.classes, redrawn)


def _name_of(settings: FormulaSettings) -> str:
    described = json.dumps({"recipe": RECIPE, **settings.model_dump(mode="json")}, sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _pieces_per_class(settings: FormulaSettings) -> int:
    return -(-settings.renderings // PIECE)


def _piece(settings: FormulaSettings, number: int) -> Piece:
    """Piece `number`: those of one class follow one another."""
    class_number, part = divmod(number, _pieces_per_class(settings))
    return class_number, part * PIECE, min((part + 1) * PIECE, settings.renderings)


def _opened(settings: FormulaSettings, place: Path) -> tuple[np.memmap, np.memmap]:
    """The memory maps of pixels and marks; files of another length are made anew."""
    pieces = settings.classes * _pieces_per_class(settings)
    pixels, marks = place / "pixels.u8", place / "marks.bin"
    lengths = {pixels: math.prod(_shape(settings)), marks: pieces * _MARK.itemsize}
    if any(not file.exists() or file.stat().st_size != length for file, length in lengths.items()):
        write_json(place / "settings.json", settings.model_dump(mode="json"))
        _make_room(place, lengths)
    return _pixels(settings, place), np.memmap(marks, _MARK, "r+", shape=(pieces,))


def _shape(settings: FormulaSettings) -> tuple[int, ...]:
    return settings.classes * settings.renderings, settings.image_size, settings.image_size, 3


def _pixels(settings: FormulaSettings, place: Path) -> np.memmap:
    return np.memmap(place / "pixels.u8", np.uint8, "r+", shape=_shape(settings))


def _make_room(place: Path, lengths: dict[Path, int]) -> None:
    """Reserve the space of all files, so that a full disk is an error now and not a crash later."""
    with explained_os_errors(place):
        for file in lengths:
            file.unlink(missing_ok=True)
        needed, free = sum(lengths.values()), free_bytes(place)
        if needed > free:
            raise SystemFault(
                f"{place}: the formula images take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
                hint="ask for less with --set renderings=4 or --set image_size=64, or choose a place with more space",
            )
        for file, length in lengths.items():
            with open(file, "wb") as handle:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(handle.fileno(), 0, length)
                else:
                    handle.truncate(length)


def _missing(settings: FormulaSettings, pixels: np.memmap, marks: np.memmap, *, emit: Emit) -> list[int]:
    """Numbers of the pieces that are not there or not what was written."""
    missing = [number for number in range(len(marks)) if not _is_whole(settings, pixels, marks, number)]
    altered = sum(_size(settings, number) for number in missing if marks[number]["done"])
    if altered:
        emit(Noted(f"{altered} stored formula images are not what was written and are rendered again", "warning"))
    return missing


def _render(
    settings: FormulaSettings, place: Path, missing: list[int], *, marks: np.memmap, workers: int, emit: Emit
) -> None:
    if not missing:
        return
    marks[missing] = (0, 0, 0)
    sizes = [_size(settings, number) for number in missing]
    written = map_in_workers(functools.partial(_write_piece, settings, place), missing, workers=workers, chunk=1)
    emit(WorkStarted("formula images", sum(sizes)))
    try:
        for number, size, (redrawn, check) in zip(missing, sizes, written, strict=True):
            marks[number] = (1, redrawn, check)
            emit(WorkAdvanced("formula images", size))
    finally:
        emit(WorkEnded("formula images"))
    marks.flush()


def _write_piece(settings: FormulaSettings, place: Path, number: int) -> tuple[int, int]:
    """Render a piece into its rows; give what its mark must say.

    Pixels do not travel from process to process: a worker whose parent was killed would wait for ever for somebody to
    take them.
    """
    class_number, first, last = _piece(settings, number)
    images = np.stack([formula_image(settings, class_number, rendering) for rendering in range(first, last)])
    _pixels(settings, place)[_rows(settings, number)] = images
    redrawn = formula_class(settings, class_number).redrawn
    return redrawn, _checksum(redrawn, images)


def _size(settings: FormulaSettings, number: int) -> int:
    _, first, last = _piece(settings, number)
    return last - first


def _rows(settings: FormulaSettings, number: int) -> slice:
    class_number, first, last = _piece(settings, number)
    return slice(first * settings.classes + class_number, last * settings.classes, settings.classes)


def _is_whole(settings: FormulaSettings, pixels: np.memmap, marks: np.memmap, number: int) -> bool:
    done, redrawn, check = marks[number].tolist()
    return done == 1 and _checksum(redrawn, np.ascontiguousarray(pixels[_rows(settings, number)])) == check


def _checksum(redrawn: int, images: UInt8[np.ndarray, "n S S 3"]) -> int:
    return zlib.crc32(images.data, redrawn)
