"""What our loop costs beyond the bare PyTorch loop with the same model, images, optimiser, schedule and precision."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.figures import median_with_interval, summary, tell
from benchmarks.training_parts.job import CPU, WHOLE, Bench, StepClock, real_bench
from vitrail.data.training_views import View, view_batches
from vitrail.features.prefix_cache import view_seed
from vitrail.models.inputs import Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.training.checkpoint import MODEL, Checkpoints
from vitrail.training.loop import train
from vitrail.training.parameter_groups import freeze_below, parameter_groups
from vitrail.training.schedule import rate_at
from vitrail.training.settings import TrainingSettings

IMAGES_PER_STEP = 16
BLOCKS = 10


def loop_overhead(repeats: int, smoke: bool) -> dict[str, Any]:
    """Percent that our loop takes longer, from the end of an epoch's first step to the end of its last one.

    Ours and the bare loop take turns, each block one epoch of ViT-Ti at 224 pixels, decoded by worker processes.
    What our loop does once an epoch or once a minute lies outside these blocks and is given by itself.
    """
    images, blocks = (48, 2) if smoke else (240, BLOCKS * repeats)
    bench = real_bench(images=images, images_per_step=IMAGES_PER_STEP)
    our_block(bench), bare_block(bench)
    seconds: dict[str, list[float]] = {"vitrail": [], "bare": []}
    for turn in range(blocks):
        for name in ("vitrail", "bare") if turn % 2 else ("bare", "vitrail"):
            seconds[name].append(our_block(bench) if name == "vitrail" else bare_block(bench))
        tell(
            f"block {turn + 1} of {blocks}: " + ", ".join(f"{name} {each[-1]:.3f} s" for name, each in seconds.items())
        )
    ratios = [one / other for one, other in zip(seconds["vitrail"], seconds["bare"], strict=True)]
    return {
        "precision": bench.precision.name,
        "steps_per_block": bench.training.steps_per_epoch - 1,
        "seconds_of_a_block": {name: summary(each) for name, each in seconds.items()},
        "overhead_percent": median_with_interval([100 * (ratio - 1) for ratio in ratios]),
        **rare_costs(bench),
    }


def our_block(bench: Bench) -> float:
    """Seconds of one epoch of `train`, but for its first step; its validation comes after the clock has stopped."""
    with tempfile.TemporaryDirectory() as folder:
        clock = StepClock()
        train(bench.job(WHOLE, Path(folder)), emit=clock)
    return clock.marks[-1] - clock.marks[0]


def bare_block(bench: Bench) -> float:
    """The same steps in the plainest loop."""
    model: Any = bench.ready.model
    settings, training = TrainingSettings(), bench.training
    model.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(parameter_groups(bench.ready.chain, settings), lr=0.0, fused=True)
    normalise, loss_of = Normalise(training.preprocessing, CPU), nn.CrossEntropyLoss()
    in_bfloat16 = bench.precision.products == "bfloat16"
    only_attention = replace(bench.precision, products="float32")
    with only_attention.applied(model, CPU):  # once for all steps
        started, total = 0.0, training.steps_per_epoch
        for step, (pixels, labels) in enumerate(batches(bench)):
            rate = WHOLE.learning_rate * rate_at(
                step, total, settings.warmup_fraction, floor_fraction=settings.floor_fraction
            )
            for group in optimizer.param_groups:
                group["lr"] = rate * group["rate_scale"]
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
                loss = loss_of(model(normalise(Pixels(pixels))), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            started = started or time.perf_counter()
        return time.perf_counter() - started


def batches(bench: Bench) -> Iterator[tuple[np.ndarray, Tensor]]:
    """The pixels and labels that our loop sees in the same epoch."""
    training = bench.training
    images = [training.step_images(WHOLE, step) for step in range(training.steps_per_epoch)]
    views = [[view_of(bench, int(image)) for image in each] for each in images]
    pixels = view_batches(views, training.preprocessing, training.augmentation, workers=training.workers)
    for each, batch in zip(images, pixels, strict=True):
        yield batch, torch.from_numpy(training.images.labels[each])


def view_of(bench: Bench, image: int) -> View:
    """The view of an image that the only epoch shows."""
    training = bench.training
    number = training.view_number(WHOLE, 0, image)
    return training.images.places[image], view_seed(training.seed, training.images.ids[image], number)


def rare_costs(bench: Bench) -> dict[str, Any]:
    """Seconds of what our loop does once an epoch (freezing) and once a minute at most (a checkpoint of it all)."""
    chain, pause = bench.ready.chain, TrainingSettings().checkpoint_seconds
    started = time.perf_counter()
    freeze_below(chain, 0)
    freezing = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        trained = train(bench.job(WHOLE, Path(folder)))
        # A second one, as in the midst of a stage: with the moments, which the end of a stage has cleared.
        optimizer = torch.optim.AdamW(chain.model.parameters(), fused=True)
        for parameter in chain.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        started = time.perf_counter()
        checkpoints = Checkpoints(Path(folder), {MODEL: chain.model}, optimizer)
        checkpoints.write(trained.state, trained.changed, {trained.state.epochs: trained.best})
        writing = time.perf_counter() - started
    return {
        "freezing_seconds_per_epoch": round(freezing, 4),
        "checkpoint_seconds": round(writing, 4),
        "checkpoint_percent_at_most": round(100 * writing / max(pause, 100 * writing), 4),
    }
