"""The least that a reader can be, for tests of what is done with readers."""

import io
from dataclasses import dataclass

import numpy as np

from vitrail.data.readers import Header, StoredPicture

VALUES = np.random.default_rng(1).integers(0, 4096, (3, 20, 24), dtype=np.uint16)
"""What the frames of `PLAIN_FILE` hold."""

PLAIN_FILE = b"PLAIN" + VALUES.astype("<u2").tobytes()


@dataclass(frozen=True)
class Plain:
    """Opens a mark, then frames of 20 × 24 numbers of 12 bits."""

    window: tuple[int, int] | None = None
    inverted: bool = False
    extensions = frozenset({".plain"})

    def begins_like(self, beginning):
        return beginning.startswith(b"PLAIN")

    def header(self, file):
        length = file.seek(0, io.SEEK_END)
        return Header(24, 20, max(1, (length - 5) // 960), frames_are_images=True, format="PLAIN", bits=12)

    def picture(self, file, frame, wanted):
        wanted.refuse_giant(24, 20)
        file.seek(5 + 960 * frame)
        values = np.frombuffer(file.read(960), "<u2").reshape(20, 24)
        return StoredPicture(values, window=self.window, value_range=(0, 4095), inverted=self.inverted)
