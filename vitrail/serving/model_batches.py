"""In a model process: images that wait, batches that are computed, and faults that stay with their image."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vitrail.prediction.answers import Answers
from vitrail.serving.batch_size import BatchSize
from vitrail.serving.open_questions import OpenQuestions
from vitrail.serving.reasons import reason_of


@dataclass(slots=True)
class Decoded:
    """An image that is ready to be computed.

    Attributes:
        number: of the question.
        deadline: on the monotonic clock of the machine; later nobody waits for the answer.
        pixels: as the predictor wants them.
        decoding: seconds that it took.
        is_probe: whether it was made from formulas, and says nothing of the images that come.
        content: a hash of the file: an image that comes again has the same.
    """

    number: int
    deadline: float
    pixels: np.ndarray
    decoding: float
    is_probe: bool = False
    content: bytes = b""


Answered = Callable[[np.ndarray], Answers]
Tell = Callable[..., None]
"""Takes any number of replies, each a `dict[str, Any]`."""


class ModelBatches:
    """Takes decoded images from any thread, and answers them in one at a time: who has decoded computes, too.

    A thread of its own that computes would be woken for every image, which costs more than a small network does.

    Args:
        answered: the predictor's `answers_of`.
        open_questions: know of images that nobody waits for.
        most: images of a batch.
        wait: seconds for which a batch that is not full waits for more; 0.0: what is there is computed.
        tell: receives one reply for every image: `answer`, `failed` or `expired`.
        after: receives the answers of every batch that succeeded, and of the rows that are no probes their `content`.
    """

    def __init__(
        self, answered: Answered, open_questions: OpenQuestions, *, most: int, wait: float, tell: Tell,
        after: Callable[[Answers, dict[int, bytes]], None],
    ) -> None:  # fmt: skip
        self._answered, self._open, self._most, self._wait = answered, open_questions, most, wait
        self._tell, self._after = tell, after
        self._size = BatchSize(most)
        self._waiting: deque[Decoded] = deque()
        self._changed = threading.Condition()
        self._is_computing = False

    def add(self, image: Decoded) -> None:
        """One more that waits."""
        with self._changed:
            self._waiting.append(image)
            self._changed.notify()

    def wants_more(self) -> bool:
        """Whether a batch would be cheaper if more images, that can be had at once, were decoded first."""
        with self._changed:
            return len(self._waiting) < self._size.worth()

    def compute(self) -> None:
        """Compute what waits, until nothing does; where another thread is at it, that one does this, too."""
        with self._changed:
            if self._is_computing:
                return
            self._is_computing = True
        while batch := self._next_batch():
            self._compute(batch)

    def _next_batch(self) -> list[Decoded]:
        with self._changed:
            self._drop_what_is_late()
            if self._wait and 0 < len(self._waiting) < self._most:
                self._changed.wait_for(lambda: len(self._waiting) >= self._most, timeout=self._wait)
                self._drop_what_is_late()
            if not self._waiting:
                self._is_computing = False
                return []
            left = self._waiting[0].deadline - time.monotonic()
            return [self._waiting.popleft() for _ in range(self._size.take(len(self._waiting), seconds_left=left))]

    def _drop_what_is_late(self) -> None:
        """Nor is computed what nobody waits for any more."""
        now = time.monotonic()
        late = [image for image in self._waiting if image.deadline < now or self._open.is_cancelled(image.number)]
        if late:
            dropped = {image.number for image in late}
            self._waiting = deque(image for image in self._waiting if image.number not in dropped)
        for image in late:
            self._tell({"kind": "expired", "id": image.number})

    def _compute(self, batch: Sequence[Decoded]) -> None:
        """In halves where it fails: an image that cannot be computed, or want of memory, is no fault of others."""
        began = time.perf_counter()
        try:
            answers = self._answered(np.stack([image.pixels for image in batch]))
            predictions = [prediction.as_json() for prediction in answers]  # type: ignore[union-attr]
            if len(predictions) != len(batch):
                raise ValueError(f"{len(predictions)} answers to {len(batch)} images")
        except Exception as error:  # noqa: BLE001 - whatever a model or its runtime raises, its process lives
            if len(batch) == 1:
                self._tell({"kind": "failed", "id": batch[0].number, "reason": reason_of(error)})
                return
            self._compute(batch[: len(batch) // 2])
            self._compute(batch[len(batch) // 2 :])
            return
        seconds = time.perf_counter() - began
        self._size.learn(len(batch), seconds)
        self._tell(
            *(
                {"kind": "answer", "id": image.number, "prediction": prediction, "decoding": image.decoding,
                 "computing": seconds, "batch": len(batch)}
                for image, prediction in zip(batch, predictions, strict=True)
            )
        )  # fmt: skip
        self._after(answers, {row: image.content for row, image in enumerate(batch) if not image.is_probe})
