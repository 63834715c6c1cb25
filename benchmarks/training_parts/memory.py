"""What gradient checkpointing saves in memory and costs in time, each step in a process of its own.

usage: python -m benchmarks.training_parts.memory plain|checkpointed IMAGES   (one such process, prints JSON)
"""

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import timm
import torch

from benchmarks.figures import paired_ratio, summary, tell
from benchmarks.processes import figures_of
from benchmarks.training_parts.job import CPU, SameBatch, labelled_objective, whole_step
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.chain import Chain
from vitrail.models.inputs import Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.training.batch import Batch
from vitrail.training.precision import FLOAT32
from vitrail.training.settings import TrainingSettings

MODEL = "vit_small_patch16_224"
TIMED_STEPS = 3
# A process begins with the peak of the one that it was forked from: start it from one that is small.
FROM_A_SMALL_PROCESS = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


def checkpointing_memory(repeats: int, smoke: bool) -> dict[str, Any]:
    """Megabytes that a float32 step of ViT-S adds to the peak of its process, and its seconds, with and without."""
    images = 2 if smoke else 32
    rounds: list[dict[str, dict[str, float]]] = []
    for turn in range(repeats):
        names = ("plain", "checkpointed") if turn % 2 == 0 else ("checkpointed", "plain")
        rounds.append({name: _in_own_process(name, images) for name in names})
        tell(f"round {turn + 1} of {repeats}: {rounds[-1]}")
    figures: dict[str, Any] = {"model": MODEL, "images": images}
    for name in ("plain", "checkpointed"):
        figures[name] = {field: summary([each[name][field] for each in rounds]) for field in rounds[0][name]}
    by_name = {name: [each[name] for each in rounds] for name in rounds[0]}
    for field, word in (("peak_megabytes", "share_of_peak_memory"), ("step_seconds", "times_as_long")):
        figures[word] = paired_ratio(
            [each[field] for each in by_name["checkpointed"]], [each[field] for each in by_name["plain"]]
        )
    return figures


def measured_step(name: str, images: int) -> dict[str, float]:
    """In this process: what the first step adds to the peak of memory, and the median seconds of the steps after."""
    torch.manual_seed(0)
    model: Any = timm.create_model(MODEL)
    model.set_grad_checkpointing(name == "checkpointed")
    settings = TrainingSettings(learning_rate=1e-4)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 224, 224, 3), dtype=np.uint8)
    batch = Batch((Pixels(pixels),), np.arange(images), torch.ones(images), torch.arange(images))
    objective = labelled_objective(SameBatch(batch), Normalise(Preprocessing(), CPU), settings)
    take_step = whole_step(Chain(model), objective, FLOAT32, settings)
    before, seconds = _peak_megabytes(), []
    for step in range(1 + TIMED_STEPS):
        started = time.perf_counter()
        take_step(batch)
        if step == 0:
            peak = _peak_megabytes() - before
        else:
            seconds.append(time.perf_counter() - started)
    return {"peak_megabytes": round(peak, 1), "step_seconds": round(float(np.median(seconds)), 4)}


def _in_own_process(name: str, images: int) -> dict[str, float]:
    small = [sys.executable, "-c", FROM_A_SMALL_PROCESS]
    return figures_of("benchmarks.training_parts.memory", name, images, through=small)


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(measured_step(sys.argv[1], int(sys.argv[2]))))
