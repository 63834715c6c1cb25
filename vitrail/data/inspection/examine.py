"""One look at one file: everything the inspection needs to know, from a single read of its bytes."""

import contextlib
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image

from vitrail.basics.errors import UnreadableImageError
from vitrail.data.identity import image_id
from vitrail.data.reading import PILLOW_ERRORS, file_content, opened_image, upright

GRID = 32
"""Side of the grey thumbnail, in pixels, from which the perceptual facts are computed."""

_FREQUENCIES = 8
_COSINES = np.cos(np.pi / (2 * GRID) * np.arange(_FREQUENCIES)[:, None] * (2 * np.arange(GRID) + 1)[None, :])

# Further pictures in these files are previews, gain maps or layers, not frames of a series.
_ONE_PICTURE = {"MPO", "PSD"}


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
        white: greatest value of a grey image with more than 8 bits; 0 for other images.
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
    white: int = 0
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
    identity, size = "", 0
    try:
        content = file_content(path)
        identity = image_id(content, frame)
        size = len(content)
        with opened_image(content, name=path, frame=frame) as image:
            return _facts(image, identity, size)
    except UnreadableImageError as error:
        return FileFacts(identity, fault=error.message.removeprefix(f"{path}: "), size_bytes=size)


def _facts(image: Image.Image, identity: str, size: int) -> FileFacts:
    mode, stated = image.mode, image.size
    # A JPEG is decoded at a fraction of its size, which is fast; all its bytes are read all the same.
    image.draft("L", (2 * GRID, 2 * GRID))
    decoded = image.size
    image.load()
    white = _white(image)
    picture = upright(image, white_level=max(white, 1))
    turned = picture.size == decoded[::-1]
    width, height = stated[::-1] if turned else stated if picture.size == decoded else picture.size
    thumbnail = np.asarray(picture.convert("L").resize((GRID, GRID), Image.Resampling.BOX))
    bits, sketch = _perceptual(thumbnail)
    tags = _tags(image)
    return FileFacts(
        identity,
        size_bytes=size,
        format=image.format or "",
        mode=mode,
        width=width,
        height=height,
        frames=_frames(image),
        camera=f"{tags['Make']} {tags['Model']}".strip(),
        software=tags["Software"],
        white=white,
        perceptual_hash=bits,
        sketch=sketch,
        dominant_share=_dominant_share(thumbnail),
    )


def _white(image: Image.Image) -> int:
    return int(np.asarray(image).max(initial=0)) if image.mode.startswith("I") else 0


def _frames(image: Image.Image) -> int:
    if image.format in _ONE_PICTURE:
        return 1
    # A series that breaks off later still shows its first picture.
    with contextlib.suppress(*PILLOW_ERRORS):
        return int(getattr(image, "n_frames", 1))
    return 1


def _tags(image: Image.Image) -> dict[str, str]:
    found = dict.fromkeys(("Make", "Model", "Software"), "")
    with contextlib.suppress(*PILLOW_ERRORS):
        exif = image.getexif()
        for name in found:
            value = exif.get(ExifTags.Base[name], image.info.get(name, ""))
            found[name] = value.strip("\0 ")[:64] if isinstance(value, str) else ""
    return found


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
