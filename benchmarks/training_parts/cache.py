"""What the prefix cache saves: stages with frozen layers, with it and without, from one to twenty epochs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import median_with_interval, summary, tell
from benchmarks.training_parts.job import CPU, Bench, StepClock, real_bench, top_cut
from vitrail.data.loader import pixel_batches
from vitrail.features.feature_pass import PassMeans, PassSettings
from vitrail.prediction.runtimes.choosing import choose_runtime
from vitrail.prediction.runtimes.runtime import Runtime, Workload
from vitrail.training.loop import train
from vitrail.training.plan import DEFAULT_IMAGES_PER_STEP
from vitrail.training.stage_caches import filled_caches
from vitrail.training.stages import Stage

TOP_BLOCKS = 3
UNCACHED_EPOCHS = 2
EXTRAPOLATED = f"uncached_seconds_extrapolated_from_{UNCACHED_EPOCHS}_epochs"


def cache_speed(repeats: int, smoke: bool) -> dict[str, Any]:
    """Seconds of a stage with the cache, computing it included, and without, validation left out of both.

    The cached stage is run in full: one run of the most epochs gives the seconds of fewer by its clock. The uncached
    one is run for two epochs and their mean is multiplied. All three top blocks are trained from the first epoch on,
    so that epochs cost the same; releasing them one by one, as a fit does, saves more. Both use the precision that is
    measured to be the fastest for the top stage.
    """
    epochs, views = ((1, 2), (1, 2)) if smoke else ((1, 5, 20), (1, 2, 4))
    bench = real_bench(
        images=64 if smoke else None, images_per_step=DEFAULT_IMAGES_PER_STEP, top_blocks=TOP_BLOCKS
    )  # fmt: skip
    runtime = _fastest_runtime(bench)
    uncached_seconds(bench, "head", 1, epochs=1)  # starts the worker processes, before the clock does
    figures: dict[str, Any] = {"training_precision": bench.precision.name, "cache_runtime": runtime.name}
    for name in ("head", "top"):
        for count in views:
            rounds = []
            for _ in range(repeats):
                uncached = uncached_seconds(bench, name, count, epochs=UNCACHED_EPOCHS) / UNCACHED_EPOCHS
                rounds.append((uncached, *cached_seconds(bench, name, count, runtime=runtime, epochs=epochs)))
                tell(f"{name}, {count} views: {uncached:.2f} s an epoch without, {rounds[-1][2]} s with the cache")
            figures[f"{name}, {count} view{'' if count == 1 else 's'}"] = _figures(rounds, epochs)
    return figures


def _figures(rounds: list[tuple[float, float, list[float]]], epochs: Sequence[int]) -> dict[str, Any]:
    figures: dict[str, Any] = {"cache_building_seconds": summary([building for _, building, _ in rounds])}
    for index, count in enumerate(epochs):
        uncached = [count * epoch for epoch, _, _ in rounds]
        cached = [seconds[index] for _, _, seconds in rounds]
        figures[f"{count} epoch{'' if count == 1 else 's'}"] = {
            "cached_seconds": summary(cached),
            EXTRAPOLATED: summary(uncached),
            "times_as_fast": median_with_interval([one / other for one, other in zip(uncached, cached, strict=True)]),
        }
    return figures


def uncached_seconds(bench: Bench, name: str, views: int, *, epochs: int) -> float:
    """Seconds of a stage whose images are decoded, augmented and sent through the frozen layers in every epoch."""
    with tempfile.TemporaryDirectory() as folder:
        clock = StepClock()
        train(bench.job(_stage(bench, name, views, epochs, cached=False), Path(folder)), emit=clock)
    return clock.marks[-1]


def cached_seconds(
    bench: Bench, name: str, views: int, *, runtime: Runtime, epochs: Sequence[int]
) -> tuple[float, list[float]]:
    """Seconds that computing the cache takes, and seconds from its beginning to the end of so many epochs."""
    stage = _stage(bench, name, views, max(epochs), cached=True)
    with tempfile.TemporaryDirectory() as folder:
        clock = StepClock()
        means = PassMeans(runtime, PassSettings().batch_size_on(CPU), bench.training.workers)
        caches = filled_caches(
            (stage,), bench.ready, bench.training, bench.single, means,
            storage="bfloat16" if bench.precision.products == "bfloat16" else "float32", folder=Path(folder),
        )  # fmt: skip
        building = clock.seconds
        train(bench.job(stage, Path(folder), cache=caches[name].training), emit=clock)
    return building, [round(clock.marks[count * bench.training.steps_per_epoch - 1], 3) for count in epochs]


def _stage(bench: Bench, name: str, views: int, epochs: int, *, cached: bool) -> Stage:
    if name == "head":
        return Stage("head", epochs, 1e-3, bench.ready.chain.pooled, 0, views, cached)
    return Stage("top", epochs, 1e-4, top_cut(bench.ready.chain, TOP_BLOCKS), 0, views, cached)


def _fastest_runtime(bench: Bench) -> Runtime:
    """As a fit chooses it where nothing but torch is installed: on eight of the images."""
    shown = bench.ready.preprocessing
    sample = next(pixel_batches(bench.training.images.places[:8], shown, batch_size=8, workers=0))
    workload = Workload(bench.ready.model, shown, CPU, sample)
    return choose_runtime(workload, asked="torch", images=len(bench.training.images), exact=False).runtime
