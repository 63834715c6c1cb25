"""Speed of both versions, measured in one run, in turns, so that a busy machine is as busy for both."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vitrail.evaluation.sampling import evenly_sampled
from vitrail.rollout.admission.contest import Contender, Contest
from vitrail.rollout.admission.gates import Gate, bounded_gate, percent

ROUNDS, IMAGES, WARM_UP = 11, 8, 2


def speed_gate(contest: Contest, *, clock: Callable[[], float] = time.perf_counter) -> Gate:
    """`speed_change`: images per second of the candidate over those of the stable version, minus 1; medians."""
    contenders = [each for each in (contest.candidate, contest.stable) if each is not None]
    batches = [_batch(contest, each) for each in contenders]
    seconds: list[list[float]] = [[] for _ in contenders]
    for number in range(WARM_UP + ROUNDS):
        turns = range(len(contenders)) if number % 2 else reversed(range(len(contenders)))
        for turn in turns:
            began = clock()
            contenders[turn].predictor.answers_of(batches[turn])
            if number >= WARM_UP:
                seconds[turn].append((clock() - began) / len(batches[turn]))
    median = [statistics.median(each) for each in seconds]
    figures: dict[str, Any] = {"milliseconds_per_image": 1000 * median[0], "rounds": ROUNDS, "batch": len(batches[0])}
    said = f"it takes {1000 * median[0]:.2f} ms per image"
    if contest.stable is None:
        return bounded_gate("speed", said, beyond=0.0, figures=figures)
    ratios = sorted(mine / theirs for mine, theirs in zip(*seconds, strict=True))
    slower = statistics.median(ratios) - 1
    change = 1 / (1 + slower) - 1
    figures |= {"milliseconds_per_image_before": 1000 * median[1], "speed_change": change,
                "slower_by": [ratios[0] - 1, slower, ratios[-1] - 1]}  # fmt: skip
    words = f"{percent(slower)} more" if slower > 0 else f"{percent(-slower)} less"
    most = contest.policy.most_slowdown
    said += f", {words} than {contest.stable_id} ({1000 * median[1]:.2f} ms); {percent(most)} more may be"
    return bounded_gate("speed", said, beyond=slower - most, figures=figures)


def _batch(contest: Contest, one: Contender) -> UInt8[np.ndarray, "B H W C"]:
    chosen = evenly_sampled(one.judged, IMAGES)
    return next(iter(contest.subject(one).pixel_batches(chosen, batch_size=IMAGES)))
