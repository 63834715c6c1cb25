"""What is counted of requests: whole numbers only, so that parts add up exactly, in any order, over any processes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from vitrail.monitoring.latency import LONGEST_SECONDS, bucket_of

Status = Literal["success", "fallback_success", "failure", "refused"]

MOST_ANSWERS = 1000
"""Different answers that a tally tells apart; others are counted under `OTHERS`."""

OTHERS = "(others)"
CONFIDENCE_BINS = 10

_CONFIDENCE_UNITS = 1_000_000_000
_LONGEST_NANOSECONDS = int(LONGEST_SECONDS * 1e9)


class Outcome(NamedTuple):
    """What came of asking one arm about one image.

    One that was asked in vain counts a `failure`, whether or not another answered in its stead; the one that did
    counts a `fallback_success`. So a request that three arms were asked about is counted three times, once for each.
    Whoever wants figures of requests as users see them counts each once more under an arm such as `ALL_REQUESTS`.

    What no arm was asked about (a picture that cannot be read, a queue that is full) is `refused`: it says nothing of
    the arm, stands beside `total_requests`, and is no part of the success rate.

    Attributes:
        status: what came of it.
        seconds: of inference. Only those of answers are counted: failures that come quickly would make an arm look
            fast.
        answer: name of the class.
        confidence: probability of the answer, from 0 to 1.
        unlike: whether the image is unlike what the model knows; None where it cannot tell.
    """

    status: Status
    seconds: float | None = None
    answer: str | None = None
    confidence: float | None = None
    unlike: bool | None = None


@dataclass(slots=True)
class Tally:
    """Counts of outcomes. Up to 1,000 different answers, those of parts added up are those of the whole.

    Attributes:
        successes: answers to requests that were the arm's own.
        fallbacks_taken: answers in another arm's stead.
        failures: how often it was asked in vain.
        refused: requests that it was not asked about.
        nanoseconds: sum of the times.
        times: how many, by bucket (`latency.bucket_of`).
        answers: how many, by class.
        confidences: how many, by tenths.
        confidence_billionths: sum of the confidences.
        likened: images of which it is known whether they are unlike what the model knows.
        unlike: those that are.
    """

    successes: int = 0
    fallbacks_taken: int = 0
    failures: int = 0
    refused: int = 0
    nanoseconds: int = 0
    confidence_billionths: int = 0
    likened: int = 0
    unlike: int = 0
    times: dict[int, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    confidences: list[int] = field(default_factory=lambda: [0] * CONFIDENCE_BINS)

    @property
    def total(self) -> int:
        """How often the arm was asked."""
        return self.successes + self.fallbacks_taken + self.failures

    def count(self, outcome: Outcome) -> None:
        """Count one more. Never raises: a time or confidence that is no number or negative is left out."""
        status, seconds, answer, confidence, unlike = outcome
        if status == "failure":
            self.failures += 1
            return
        if status == "refused":
            self.refused += 1
            return
        if status == "success":
            self.successes += 1
        else:
            self.fallbacks_taken += 1
        if seconds is not None and seconds >= 0:
            bucket = bucket_of(seconds)
            self.times[bucket] = self.times.get(bucket, 0) + 1
            self.nanoseconds += int(seconds * 1e9) if seconds < LONGEST_SECONDS else _LONGEST_NANOSECONDS
        if answer is not None:
            _add(self.answers, answer, 1)
        if confidence is not None and confidence >= 0:
            confidence = min(confidence, 1.0)  # sums of rounded numbers may be a little more
            self.confidences[min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)] += 1
            self.confidence_billionths += round(confidence * _CONFIDENCE_UNITS)
        if unlike is not None:
            self.likened += 1
            self.unlike += unlike

    def add(self, other: "Tally") -> None:
        """Add what another has counted."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        times = self.times
        for bucket, n in other.times.items():
            times[bucket] = times.get(bucket, 0) + n
        for answer, n in other.answers.items():
            _add(self.answers, answer, n)
        self.confidences = [one + another for one, another in zip(self.confidences, other.confidences, strict=True)]

    @property
    def mean_seconds(self) -> float | None:
        """Mean time of an answer; None where there is none."""
        n = sum(self.times.values())
        return self.nanoseconds / n / 1e9 if n else None

    @property
    def mean_confidence(self) -> float | None:
        """None where there is none."""
        n = sum(self.confidences)
        return self.confidence_billionths / n / _CONFIDENCE_UNITS if n else None

    def as_json(self) -> dict[str, Any]:
        """Plain values, without what is 0 or empty; `Tally.from_json` reads them back."""
        values = {name: getattr(self, name) for name in (*_NUMBERS, "answers")}
        values["times"] = {str(bucket): n for bucket, n in self.times.items()}
        values["confidences"] = self.confidences if any(self.confidences) else []
        return {name: value for name, value in values.items() if value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Tally":
        """The tally that `as_json` wrote."""
        times = {int(bucket): int(n) for bucket, n in values.get("times", {}).items()}
        numbers = {name: int(values.get(name, 0)) for name in _NUMBERS}
        confidences = values.get("confidences") or [0] * CONFIDENCE_BINS
        return cls(**numbers, times=times, answers=dict(values.get("answers", {})), confidences=list(confidences))


_NUMBERS = (
    "successes", "fallbacks_taken", "failures", "refused", "nanoseconds", "confidence_billionths", "likened", "unlike",
)  # fmt: skip


def _add(answers: dict[str, int], answer: str, n: int) -> None:
    if answer in answers:
        answers[answer] += n
    elif len(answers) < MOST_ANSWERS:
        answers[answer] = n
    else:
        answers[OTHERS] = answers.get(OTHERS, 0) + n


def summed(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total
