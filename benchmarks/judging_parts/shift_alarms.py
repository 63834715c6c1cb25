"""How often the verdicts on shift are false alarms, and what they find: reference, held-out and new images drawn anew.

Features are mixtures of three classes in 192 dimensions of very different widths, with tails heavier than normal. What
moves is the mean of all features, along one random direction, by standard deviations of that direction.
"""

from typing import Any

import numpy as np

from benchmarks.figures import tell
from vitrail.data.preprocessing import Preprocessing
from vitrail.measures.intervals import wilson
from vitrail.measures.stream_test import StreamTest
from vitrail.prediction.reference_making import KnownFeatures, made_reference
from vitrail.prediction.shift_verdict import ShiftSettings, shift_of

WIDTH, CLASSES, DRAWS = 192, 3, 1000
SIZES = ((600, 300, 300), (600, 100, 300), (1000, 1000, 1000))
"""Training, held-out, new images."""
OTHER_MIX = (0.1, 0.1, 0.8)
"""Of new images where classes have become more or less frequent, which is no shift of the images."""
MOVED = (0.25, 0.5, 1.0, 2.0)
STREAM, LOOKS = 500, 100


def measured(repeats: int, smoke: bool) -> dict[str, Any]:
    """Shares of alarms by size and shift; of streams that alarmed at any of a hundred looks."""
    draws = 5 if smoke else DRAWS * repeats
    figures: dict[str, Any] = {"draws": draws, "width": WIDTH}
    for sizes in SIZES[:1] if smoke else SIZES:
        kinds = [(0.0, None), *([(0.0, OTHER_MIX), *((step, None) for step in MOVED)] if sizes == SIZES[0] else [])]
        for moved, mix in kinds:
            count = draws if not moved else max(5, draws // 5)
            found = [_verdict(np.random.default_rng([seed, *sizes]), sizes, moved, mix) for seed in range(count)]
            name = f"{sizes[0]} training, {sizes[1]} held-out, {sizes[2]} new, moved by {moved:g}"
            name += ", another mix of classes" if mix else ""
            figures[name] = {
                "shifted": _share([decision for decision, _, _ in found]),
                "p_below_0.05": _share([p_value < 0.05 for _, p_value, _ in found]),
                "more_than_10_percent_unlike": _share([rule for _, _, rule in found]),
            }
            tell(f"{name}: {figures[name]['shifted']['value']:.3f}")
    figures["streams"] = {
        f"{held_out} held-out, then changed by {factor:g}": _streams(held_out, factor, draws)
        for held_out, factor in ((30, 1.0), (300, 1.0), (300, 1.2))
    }
    return figures


def _verdict(
    random: np.random.Generator, sizes: tuple[int, int, int], moved: float, mix: tuple[float, ...] | None
) -> tuple[bool, float, bool]:
    widths = np.exp(-np.arange(WIDTH) / 40)
    mixing = np.linalg.qr(random.standard_normal((WIDTH, WIDTH)))[0] * widths
    means = random.standard_normal((CLASSES, WIDTH)) @ mixing.T * 1.5
    direction = random.standard_normal(WIDTH)
    direction /= np.linalg.norm(direction)

    def drawn(count: int, step: float = 0.0, shares: tuple[float, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, CLASSES, count) if shares is None else random.choice(CLASSES, count, p=shares)
        rows = random.standard_normal((count, WIDTH)) * np.sqrt(8 / random.chisquare(8, count))[:, None]
        rows += step * direction
        return (rows @ mixing.T + means[labels]).astype(np.float32), labels

    training, labels = drawn(sizes[0])
    held_out, answered = drawn(sizes[1])
    new, predicted = drawn(sizes[2], moved, mix)
    known = KnownFeatures(training, labels, held_out, answered, None, "drawn")
    reference = made_reference(known, classes=CLASSES, preprocessing=Preprocessing())
    verdict = shift_of(reference, new, predicted, ShiftSettings(), classes=("a", "b", "c"))
    assert verdict.p_value is not None
    return verdict.decision == "shifted", verdict.p_value, bool(verdict.shift_detected)


def _streams(held_out: int, factor: float, count: int) -> dict[str, Any]:
    alarms = 0
    for seed in range(count):
        random = np.random.default_rng([seed, held_out])
        test = StreamTest.begun(random.chisquare(20, held_out) ** 0.5, seed=seed)
        for _ in range(LOOKS):
            test = test.after(random.chisquare(20, STREAM // LOOKS) ** 0.5 * factor)
            if test.alarm():
                alarms += 1
                break
    return wilson(alarms, count, name="streams with an alarm").as_json()


def _share(found: list[bool]) -> dict[str, Any]:
    return wilson(int(np.sum(found)), len(found), name="alarms").as_json()
