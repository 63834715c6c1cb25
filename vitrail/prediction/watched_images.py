"""Images that are watched: answers are taken as they come, and of an image hardly more than its distance is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from vitrail.measures.covariance import Moments
from vitrail.measures.mahalanobis import mahalanobis_distance
from vitrail.measures.stratified_means import StratumMeans
from vitrail.models.parts.seen import Seen
from vitrail.models.parts.shift_reference import ShiftReference
from vitrail.prediction.answers import Answers
from vitrail.prediction.shift_verdict import GatheredImages, ShiftSettings, ShiftVerdict, judged_shift
from vitrail.prediction.unusual_images import UnusualImages


@dataclass(eq=False)
class WatchedImages:
    """What was gathered of images so far: some 100 bytes of each, whatever its size.

    Attributes:
        reference: of the package that answers.
        settings: when images count as shifted.
        ids: of the images that were read and are new, in order.
        unread: by path, why the others were not.
        trained_on: images that the model was trained on, by the package's own account: they are known, and left out.
        given: images, read or not.
        known: what the package knows of its training images.
    """

    reference: ShiftReference
    settings: ShiftSettings
    ids: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    given: int = 0
    known: Seen | None = None
    trained_on: int = 0
    _farthest: UnusualImages = field(default_factory=lambda: UnusualImages(0))
    _parts: list[tuple[Float[np.ndarray, "_"], Int[np.ndarray, "_"], Int[np.ndarray, "_"]]] = field(
        default_factory=list
    )
    _places: dict[int, Moments] = field(default_factory=dict)

    @classmethod
    def by(cls, reference: ShiftReference, settings: ShiftSettings, known: Seen | None = None) -> "WatchedImages":
        """No images yet."""
        return cls(reference, settings, known=known, _farthest=UnusualImages(settings.unusual_shown))

    def add(self, answers: Answers) -> None:
        """Take more answers, in order."""
        trained_on = np.zeros(len(answers), bool) if self.known is None else self.known.overlap(answers.ids)
        self.trained_on += int(trained_on.sum())
        new = np.flatnonzero(~trained_on).tolist()
        rows = np.array([row for row in new if row not in answers.faults], dtype=np.int64)
        self.unread.update({answers.names[row]: why for row, why in answers.faults.items()})
        if len(rows):
            features, predicted = answers.features[rows], answers.logits[rows].argmax(axis=1)
            distances = mahalanobis_distance(self.reference.distances, features)
            self._parts.append((distances, predicted, rows + self.given))
            self._add_places(self.reference.places(features, predicted), self.reference.stratum_of_class[predicted])
            of_all = np.full(len(answers), np.nan)
            of_all[rows] = distances
            self._farthest.add(answers, of_all, first_row=self.given)
            self.ids.extend(answers.ids[row] for row in rows.tolist())
        self.given += len(answers)

    def _add_places(self, places: Float[np.ndarray, "B k"], strata: Int[np.ndarray, "B"]) -> None:
        for stratum in np.unique(strata).tolist():
            own, before = Moments.of(places[strata == stratum]), self._places.get(stratum)
            self._places[stratum] = own if before is None else before.merged(own)

    @property
    def unusual(self) -> UnusualImages:
        """The most unusual images so far."""
        return self._farthest

    @property
    def distances(self) -> Float[np.ndarray, "_"]:
        """Of the images that were read and are new, in order."""
        return np.concatenate([np.zeros(0), *(distances for distances, _, _ in self._parts)])

    def verdict(self, *, classes: Sequence[str], seed: int = 0) -> ShiftVerdict:
        """What can be said of the images so far; each counts as one piece of evidence."""
        nothing = np.zeros(0, dtype=np.int64)
        predicted = np.concatenate([nothing, *(each for _, each, _ in self._parts)])
        rows = np.concatenate([nothing, *(each for _, _, each in self._parts)])
        number = len(self.reference.stratum_means)
        places = StratumMeans.of_moments(self._places, number=number) if len(rows) > 1 else None
        gathered = GatheredImages(self.distances, predicted, rows, None, places, self.trained_on)
        return judged_shift(self.reference, gathered, self.settings, classes=classes, seed=seed)
