"""The finding about images that a package was trained on: it knows them already."""

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from vitrail.data.inspection.findings import Finding, counted


def trained_on_finding(table: pa.Table, trained_on: Bool[np.ndarray, "N"], *, of: int) -> Finding:
    """What is to be said of a data set that was held against the training images of a package.

    Args:
        table: an image table.
        trained_on: which of its rows are training images.
        of: how many training images the package has.
    """
    rows = table.filter(pa.array(trained_on))
    images = counted(of, "training image")
    if not rows.num_rows:
        return Finding(
            "none-trained-on-by-package",
            "note",
            f"none of {counted(table.num_rows, 'image')} is among the {images} of the package",
            hint="copies that were compressed, resized or cropped are other files, and are not found in this way",
        )
    columns = (rows[name].to_pylist() for name in ("path", "split", "label"))
    return Finding(
        "trained-on-by-package",
        "warning",
        f"{rows.num_rows:,} of {counted(table.num_rows, 'image')} {'is' if rows.num_rows == 1 else 'are'} among the "
        f"{images} of the package: figures measured on them flatter it",
        tuple(f"{path} ({split}, {label})" if split else f"{path} ({label})"
              for path, split, label in zip(*columns, strict=True)),
        "leave them out before the package is judged on these images; copies that were compressed, resized or cropped "
        "are other files, and are not found in this way",
    )  # fmt: skip
