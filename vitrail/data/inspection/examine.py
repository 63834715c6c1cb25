"""One look at one file: everything the inspection needs to know, from a single read of its bytes."""

import dataclasses
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vitrail.basics.errors import UnreadableImageError
from vitrail.basics.printable import printable
from vitrail.data.file_contents import identified_content
from vitrail.data.inspection.value_range import tone_of_one, value_facts
from vitrail.data.opened_pictures import header_of, opened_picture
from vitrail.data.readers.reader import Header, Picture, Wanted

GRID = 32
"""Side of the grey thumbnail, in pixels, from which the perceptual facts are computed."""

_FREQUENCIES = 8
_COSINES = np.cos(np.pi / (2 * GRID) * np.arange(_FREQUENCIES)[:, None] * (2 * np.arange(GRID) + 1)[None, :])

# A JPEG is decoded at a fraction of its size, which is fast; all its bytes are read all the same.
_WANTED = Wanted(grey=True, least=lambda size: (2 * GRID, 2 * GRID))


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one look at a file tells. For an unreadable file, `fault` says why and the rest is empty or 0.

    Attributes:
        id: see `image_id`; empty when there are no bytes.
        fault: why the image cannot be read, without its path; None for a readable image.
        size_bytes: size of the file.
        format: Pillow's name of the file format, e.g. `JPEG`.
        mode: Pillow's name of the way pixels are stored, e.g. `RGBA`.
        width: pixels, as seen upright.
        height: pixels, as seen upright.
        frames: number of pictures in the file.
        camera: maker and model from EXIF.
        software: the program that wrote the file, from EXIF or the PNG text.
        modified_ns: time at which the file's content was changed, with size and inode below; see `basics.files.Stamp`.
        changed_ns: time at which anything about the file was changed.
        inode: number of the file on its disk.
        depth: what an image of more than 8 bits holds: `integer` or `floating`; empty for other images.
        least: least finite value of such an image; 0 for other images.
        low: value below which `OUTLIERS` of its pixels lie, one at least.
        high: value above which as many lie.
        white: its greatest finite value.
        not_finite: number of its values that are infinite or no numbers.
        perceptual_hash: 64 bits that hardly change when a picture is compressed again, resized or brightened.
        sketch: 63 low frequencies as signed bytes, of unit length times 127; tells look-alikes that share a hash apart.
        dominant_share: share of the thumbnail taken by its most frequent grey value (±2 of 255); 1 for a blank picture.
    """

    id: str
    fault: str | None = None
    size_bytes: int = 0
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    camera: str = ""
    software: str = ""
    modified_ns: int = 0
    changed_ns: int = 0
    inode: int = 0
    depth: str = ""
    least: float = 0.0
    low: float = 0.0
    high: float = 0.0
    white: float = 0.0
    not_finite: int = 0
    perceptual_hash: int = 0
    sketch: bytes = bytes(_FREQUENCIES**2 - 1)
    dominant_share: float = 0.0


def examine_place(place: tuple[str, int]) -> FileFacts:
    """`examine` for a (path, frame) pair: what worker processes are given."""
    return examine(*place)


def examine(path: str, frame: int = 0) -> FileFacts:
    """Look at one image. Never raises for a bad file: the returned `fault` tells what `read_image` would raise.

    Args:
        path: the file.
        frame: which picture of a file that holds several.
    """
    facts = FileFacts("")
    try:
        content, stamp, identity = identified_content(path, frame)
        facts = FileFacts(identity, **stamp._asdict())
        with opened_picture(content, name=path, frame=frame, wanted=_WANTED) as picture:
            found = _seen_in(picture)
            header = picture.header()
        said = _said_by(header or header_of(io.BytesIO(content), name=path))
        return dataclasses.replace(facts, **found, **said)
    except UnreadableImageError as error:
        fault = error.message.removeprefix(f"{printable(path)}: ").removeprefix("image: ")
        return dataclasses.replace(facts, fault=fault)


def _seen_in(picture: Picture) -> dict[str, Any]:
    """The facts that pixels tell."""
    values = picture.values()
    depth = value_facts(values) if values is not None else {}
    seen = picture.seen(tone_of_one(depth))
    thumbnail = np.asarray(seen.convert("L").resize((GRID, GRID), Image.Resampling.BOX))
    bits, sketch = _perceptual(thumbnail)
    return {**depth, "perceptual_hash": bits, "sketch": sketch, "dominant_share": _dominant_share(thumbnail)}


def _said_by(header: Header) -> dict[str, Any]:
    """The facts that the header tells."""
    return {
        "format": header.format,
        "mode": header.mode or f"{header.bits} bits",
        "width": header.width,
        "height": header.height,
        "frames": header.frames,
        "camera": header.camera,
        "software": header.software,
    }


def _perceptual(thumbnail: np.ndarray) -> tuple[int, bytes]:
    """Hash and sketch of a grey thumbnail.

    Source: pHash (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), as
    `imagehash.phash` has it: the 8 × 8 lowest frequencies of a 32 × 32 cosine transform against their median.
    """
    frequencies = (_COSINES @ thumbnail.astype(np.float64) @ _COSINES.T).ravel()
    bits = np.packbits(frequencies > np.median(frequencies))
    shape = frequencies[1:]  # without the mean brightness
    length = max(float(np.linalg.norm(shape)), 1e-9)
    return int.from_bytes(bits.tobytes(), "big"), np.rint(shape * (127 / length)).astype(np.int8).tobytes()


def _dominant_share(thumbnail: np.ndarray) -> float:
    counts = np.bincount(thumbnail.ravel(), minlength=256)
    windows = np.convolve(counts, np.ones(5, dtype=np.int64), mode="same")
    return float(windows.max() / thumbnail.size)
