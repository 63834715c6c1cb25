"""How many images are computed together: as many as still make each of them cheaper."""

from collections import deque

REMEMBERED = 64
"""Batches from which the cost is known."""

WORTH = 0.05
"""A larger batch must make an image so much cheaper than the smaller one: else it only makes the first ones wait."""

TRY_MORE_EVERY = 50
"""Every so many batches are twice as large, so that it is noticed when larger ones begin to pay."""


class BatchSize:
    """Learns what a batch of n images costs, a + b·n seconds, and says how many to take.

    A graphics card computes sixteen images nearly as fast as one (a is large): batches grow. On a processor b·n is
    all there is: batches stay small, and nobody waits for the images of others.

    Source: the cost model of BentoML's dispatcher (least squares over the last batches); the choice is ours.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._costs: deque[tuple[int, float]] = deque()
        self._images, self._seconds, self._squares, self._products = 0, 0.0, 0, 0.0
        self._batches = 0

    def learn(self, images: int, seconds: float) -> None:
        """What a batch took."""
        self._costs.append((images, seconds))
        self._batches += 1
        self._count(images, seconds, 1)
        if len(self._costs) > REMEMBERED:
            self._count(*self._costs.popleft(), -1)

    def _count(self, images: int, seconds: float, sign: int) -> None:
        """Sums are kept: this is asked for every batch, and some networks are quicker than 64 additions in Python."""
        self._images += sign * images
        self._seconds += sign * seconds
        self._squares += sign * images * images
        self._products += sign * images * seconds

    def per_image(self) -> float:
        """Seconds an image costs lately; 0.0 before the first batch."""
        return self._seconds / self._images if self._images else 0.0

    def take(self, waiting: int, *, seconds_left: float) -> int:
        """How many of the images that wait are computed now, at least one.

        Args:
            waiting: images that are ready.
            seconds_left: until the first of them is too late.
        """
        best, most = self.worth(), min(waiting, self._most)
        if self._batches % TRY_MORE_EVERY == 0:
            best *= 2
        best = max(1, min(best, most))
        while best > 1 and self._expected(best) > seconds_left:
            best -= 1
        return best

    def worth(self) -> int:
        """How many images are worth computing together, if there are so many."""
        if not self._costs:
            return self._most
        if not self._spread():  # all were of one size: a little more is tried
            return min(self._most, 2 * self._costs[-1][0])
        base, slope = self._line()
        best = 1
        while best < self._most and (base / best - base / (best + 1)) > WORTH * (base / best + slope):
            best += 1
        return best

    def _expected(self, images: int) -> float:
        """Seconds of a batch."""
        if not self._spread():
            return self.per_image() * images
        base, slope = self._line()
        return base + slope * images

    def _spread(self) -> int:
        return len(self._costs) * self._squares - self._images**2

    def _line(self) -> tuple[float, float]:
        """a and b by least squares, neither below zero."""
        count, images, seconds = len(self._costs), self._images, self._seconds
        slope = (count * self._products - images * seconds) / self._spread()
        slope = min(max(slope, 0.0), seconds / images)
        return max(seconds - slope * images, 0.0) / count, slope
