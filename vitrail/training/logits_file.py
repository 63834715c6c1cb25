"""What the model said of the validation images after every epoch, on disk: it chooses the epoch that is kept."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vitrail.basics.checks import damaged, read_checked_bytes, write_checked_bytes
from vitrail.basics.errors import DamagedError


def logits_file(folder: Path, epoch: int) -> Path:
    """Where the validation logits (N, K) of an epoch, counted from 1 over all stages, are kept."""
    return folder / f"logits-epoch{epoch:06d}.npy"


def sample_file(folder: Path) -> Path:
    """Where the logits of the sample of training images are kept, as they were after the last step."""
    return folder / "training-sample-logits.npy"


def write_logits(file: Path, logits: Float[np.ndarray, "N K"]) -> None:
    """Keep the logits of an epoch, with a checksum."""
    content = io.BytesIO()
    np.save(content, logits)
    write_checked_bytes(file, content.getvalue())


def read_logits(file: Path) -> Float[np.ndarray, "N K"]:
    """The logits of an epoch.

    Raises:
        DamagedError: they are not what was written.
    """
    hint = "run the same command again: it trains again what is needed"
    content = read_checked_bytes(file, hint=hint)
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError):
        raise damaged(file, hint=hint) from None


def has_logits(folder: Path, epochs: int) -> bool:
    """Whether those of the first so many epochs are there and sound."""
    try:
        for epoch in range(1, epochs + 1):
            read_logits(logits_file(folder, epoch))
    except DamagedError:
        return False
    return True
