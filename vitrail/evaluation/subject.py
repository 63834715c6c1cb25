"""What an evaluation is about, and how one says that it cannot judge it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from vitrail.basics.events import Emit, nobody
from vitrail.data.checked_files import checked_places
from vitrail.data.loader import pixel_batches
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.section import Section
from vitrail.models.parts.seen import Seen
from vitrail.prediction.likeness import trained_images
from vitrail.prediction.predictor import Predictor


class NotJudged(Exception):
    """An evaluation has nothing to go by: the images, the table or the package lack what it needs.

    It is no fault: the report says what was not judged, and why. The text is one sentence without its full stop, e.g.
    `"the table has no attribute; a column such as sex or site is one"`.
    """


@dataclass(frozen=True)
class Subject:
    """What an evaluation is about.

    Attributes:
        judged: images with labels, attributes and what the model said of them.
        predictor: the model that said it, with its package; None where only a table of answers was given.
        seed: of everything that is drawn by lot.
        workers: processes that decode images.
        emit: receives progress.
    """

    judged: JudgedImages
    predictor: Predictor | None = None
    seed: int = 0
    workers: int = 0
    emit: Emit = nobody

    def needed_predictor(self) -> Predictor:
        """The predictor.

        Raises:
            NotJudged: only a table of answers was given.
        """
        if self.predictor is None:
            raise NotJudged("it needs the model, and only a table of answers was given")
        return self.predictor

    def known_images(self) -> Seen | None:
        """What the package knows of its training images; None where it knows nothing, or where there is no package."""
        return None if self.predictor is None else trained_images(self.predictor.package)

    def trained_on(self) -> Bool[np.ndarray, "N"] | None:
        """Which of the judged images the model was trained on; None: nobody knows."""
        known = self.known_images()
        return None if known is None else known.overlap(self.judged.ids)

    def pixel_batches(self, judged: JudgedImages | None = None, *, batch_size: int = 16) -> Iterator[np.ndarray]:
        """The pixels that the model sees, uint8 (B, H, W, C), the last batch possibly smaller; in the order of rows.

        Args:
            judged: some of the images (`self.judged.where(…)`); None: all of them.
            batch_size: images at a time.

        Raises:
            UnreadableImageError: an image went away since it was judged; `ChangedImageError`: it is another one now.
            NotJudged: see `needed_predictor`.
        """
        shown = self.needed_predictor().preprocessing
        places = checked_places((judged or self.judged).rows)
        return pixel_batches(places, shown, batch_size=batch_size, workers=self.workers)


Evaluation = Callable[[Subject, Any], Section]
"""From what is judged, and the evaluation's own settings, to a section; raises `NotJudged`."""
