"""Steps of pretraining, with the making of their batches, against plain loops on tensors that are there already."""

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.figures import paired_ratio, summary, tell
from benchmarks.training_parts.job import CPU, chosen_precision, labelled_objective, whole_step
from benchmarks.training_parts.step import plain_step
from vitrail.models.chain import Chain
from vitrail.models.plain_vit import PlainVitSettings, plain_vit
from vitrail.models.ready import ReadyModel
from vitrail.prediction.normalise import Normalise
from vitrail.training.formula_batches import FormulaBatches
from vitrail.training.formula_steps import MEASURED_IMAGES, formula_stage
from vitrail.training.formula_views import FormulaViewSettings
from vitrail.training.pretraining_settings import PretrainingSettings

CLASSES, STORED, STORED_PIXELS = 1000, 4000, 96
STEPS_OF_A_BLOCK, BLOCKS = 4, 6

Block = Callable[[], None]


def step_speed(repeats: int, smoke: bool) -> dict[str, Any]:
    """Images per second at 64 pixels, in blocks of a few steps that take turns.

    Ours makes its batches from stored images within its block, also the first one; the plain loops (forward, backward,
    clipping, fused AdamW) work on the same random tensor in every step.
    """
    torch.manual_seed(0)
    settings, blocks = PretrainingSettings(images_per_step=16 if smoke else 128), 2 if smoke else BLOCKS * repeats
    built = plain_vit(PlainVitSettings(), sizes=settings.sizes, classes=CLASSES, seed=0)
    size = settings.images_per_step
    images, labels = torch.randn(size, 3, settings.sizes[-1], settings.sizes[-1]), torch.arange(size) % CLASSES
    ours, precision = our_block(built, settings)
    ways = {
        "vitrail": ours,
        "plain fp32": repeated(plain_step(copy.deepcopy(built.model), images, labels)),
        "plain bf16": repeated(plain_step(copy.deepcopy(built.model), images, labels, autocast=True)),
    }
    seconds = taking_turns(ways, blocks)
    return {
        "model": "width 192, depth 6, patch 8",
        "images": size,
        "threads": torch.get_num_threads(),
        "vitrail_precision": precision,
        "images_per_second": {
            name: summary([size * STEPS_OF_A_BLOCK / each for each in times]) for name, times in seconds.items()
        },
        "times_as_fast_as_plain_fp32": paired_ratio(seconds["plain fp32"], seconds["vitrail"]),
        "times_as_fast_as_plain_bf16": paired_ratio(seconds["plain bf16"], seconds["vitrail"]),
    }


def taking_turns(ways: dict[str, Block], blocks: int) -> dict[str, list[float]]:
    """Seconds of a block by way and turn; every turn begins with another one, and one turn warms up."""
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-1, blocks):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            ways[name]()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
        if turn >= 0:
            tell(f"turn {turn + 1}: " + ", ".join(f"{name} {each[-1]:.2f} s" for name, each in seconds.items()))
    return seconds


def repeated(step: Block) -> Block:
    """A block of such steps."""

    def block() -> None:
        for _ in range(STEPS_OF_A_BLOCK):
            step()

    return block


def our_block(built: ReadyModel, settings: PretrainingSettings) -> tuple[Block, str]:
    """A block of our steps in the precision that a fit takes here, and that precision's name."""
    batches = stored_batches(built, settings)
    chain, stage = Chain(copy.deepcopy(built.model)), formula_stage(settings)
    objective = labelled_objective(batches, batches.normalise, settings)
    sample = batches.batch(stage, settings.total_steps - 1).part(slice(0, MEASURED_IMAGES))
    precision = chosen_precision(chain, objective, sample)
    step = whole_step(chain, objective, precision, settings)

    def block() -> None:
        for batch in batches.batches(stage, first_step=settings.total_steps - STEPS_OF_A_BLOCK, cache=None):
            step(batch)

    return block, precision.name


def stored_batches(built: ReadyModel, settings: PretrainingSettings) -> FormulaBatches:
    """Batches of noise in the form of stored formula images: what is on them costs nothing."""
    pixels = np.random.default_rng(0).integers(0, 256, (STORED, STORED_PIXELS, STORED_PIXELS, 3), dtype=np.uint8)
    return FormulaBatches(
        stored=pixels,
        labels=np.arange(STORED, dtype=np.int64) % CLASSES,
        classes=CLASSES,
        views=FormulaViewSettings(),
        normalise=Normalise(built.preprocessing, CPU),
        images_per_step=settings.images_per_step,
        steps_per_epoch=settings.steps_per_epoch,
        seed=0,
    )
