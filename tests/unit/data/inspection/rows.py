"""Image tables with the inspection's columns, as tests need them: every column has a quiet value unless it is given."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from vitrail.data.columns import rows
from vitrail.data.inspection.examine import FileFacts
from vitrail.data.inspection.file_columns import FactColumns


def inspected(label: list[str], *, split=None, group=None, path=None, **facts: list) -> pa.Table:
    """A table whose files are all different, readable JPEGs of 64 × 48 pixels, but for what `facts` says."""
    count = len(label)
    generator = np.random.default_rng(count)
    columns = FactColumns()
    for index in range(count):
        plain = FileFacts(
            f"{index:032x}",
            size_bytes=1000,
            format="JPEG",
            mode="RGB",
            width=64,
            height=48,
            frames=1,
            perceptual_hash=int(generator.integers(0, 2**64, dtype=np.uint64)),
            sketch=generator.integers(-60, 60, 63).astype(np.int8).tobytes(),
        )
        columns.add(dataclasses.replace(plain, **{name: values[index] for name, values in facts.items()}))
    paths = path or [f"/data/{index:04d}.jpg" for index in range(count)]
    return columns.beside(rows(path=paths, label=label, split=split, group=group))


def blurred(seed: int, *, size: tuple[int, int] = (320, 240), detail: int = 12) -> Image.Image:
    """A picture with as much structure as a photograph, different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (detail, detail, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def saved(image: Image.Image, path: Path, **options) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return str(path)
