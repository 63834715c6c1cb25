"""One optimiser step of ViT-S/16: ours against what is written by hand, in every precision that PyTorch offers."""

import contextlib
import copy
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from benchmarks.figures import paired_ratio, summary, tell
from benchmarks.training_parts.job import CPU, SameBatch, chosen_precision, labelled_objective, whole_step
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.chain import Chain
from vitrail.models.inputs import Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.training.batch import Batch
from vitrail.training.settings import TrainingSettings
from vitrail.training.tried_steps import MEASURED_IMAGES

MODEL = "vit_small_patch16_224"
WARM_UP_STEPS = 2
LEARNING_RATE = 1e-4

Step = Callable[[], None]


def step_speed(repeats: int, smoke: bool) -> dict[str, Any]:
    """Seconds of a full step (forward, backward, clipping, fused AdamW) at 224 pixels, all contenders taking turns.

    The plain loops are handed the normalised float32 batch; ours makes it from the pixels within its step.
    """
    torch.manual_seed(0)
    size, rounds = (2, 3) if smoke else (16, 6 * repeats)
    pixels = np.random.default_rng(0).integers(0, 256, (size, 224, 224, 3), dtype=np.uint8)
    model, labels = timm.create_model(MODEL), torch.arange(size)
    images = Normalise(Preprocessing(), CPU)(Pixels(pixels))
    steps = {
        "fp32": plain_step(copy.deepcopy(model), images, labels),
        "bf16": plain_step(copy.deepcopy(model), images, labels, autocast=True),
        "medium": medium_step(plain_step(copy.deepcopy(model), images, labels)),
    }
    steps["vitrail"], precision = our_step(copy.deepcopy(model), pixels, labels)
    with fresh_compiler_cache():
        compiled = compiled_step(copy.deepcopy(model), images, labels)
        if compiled["step"]:
            steps["compile_bf16"] = compiled["step"]
        seconds = taking_turns(steps, rounds)
    return {
        "model": MODEL,
        "images": size,
        "vitrail_precision": precision,
        "compile_seconds": compiled["seconds"],
        "compile_skipped_because": compiled["skipped_because"],
        **_figures(seconds),
    }


def _figures(seconds: dict[str, list[float]]) -> dict[str, Any]:
    ours = seconds["vitrail"]
    peers = [name for name in seconds if name not in ("vitrail", "fp32")]
    best = min(peers, key=lambda name: float(np.median(seconds[name])))
    return {
        "seconds": {name: summary(values) for name, values in seconds.items()},
        "times_as_fast_as_fp32": paired_ratio(seconds["fp32"], ours),
        "best_of_the_others": best,
        "times_as_fast_as_the_best_of_the_others": paired_ratio(seconds[best], ours),
    }


def taking_turns(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds by contender and round; every round begins with another one."""
    names = list(steps)
    for name in names:
        for _ in range(WARM_UP_STEPS):
            steps[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            steps[name]()
            seconds[name].append(time.perf_counter() - started)
        tell(
            f"round {turn + 1} of {rounds}: " + ", ".join(f"{name} {each[-1]:.2f} s" for name, each in seconds.items())
        )
    return seconds


def plain_step(model: nn.Module, images: Tensor, labels: Tensor, *, autocast: bool = False) -> Step:
    """A step as a practitioner writes it."""
    model.train()
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    loss_of = nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = loss_of(model(images), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def medium_step(step: Step) -> Step:
    """The same step with PyTorch's "medium" float32 matrix products, which may be computed in bfloat16."""

    def in_medium() -> None:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            step()
        finally:
            torch.set_float32_matmul_precision(before)

    return in_medium


def compiled_step(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """A compiled bf16 step with what its first call took, or the reason why there is none."""
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++"))):
        return {"step": None, "seconds": None, "skipped_because": "this machine has no C++ compiler"}
    compiled: Any = torch.compile(model)
    step = plain_step(compiled, images, labels, autocast=True)
    tell("compiling")
    started = time.perf_counter()
    try:
        step()
    except (RuntimeError, OSError) as error:  # torch's compiler errors are RuntimeErrors
        return {"step": None, "seconds": None, "skipped_because": str(error).strip().splitlines()[0]}
    return {"step": step, "seconds": round(time.perf_counter() - started, 1), "skipped_because": None}


@contextlib.contextmanager
def fresh_compiler_cache() -> Iterator[None]:
    """In this block torch compiles anew what an earlier run may have left compiled."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


def our_step(model: nn.Module, pixels: np.ndarray, labels: Tensor) -> tuple[Step, str]:
    """Our step in the precision that a fit takes here, and that precision's name."""
    chain, settings = Chain(model), TrainingSettings(learning_rate=LEARNING_RATE)
    batch = Batch((Pixels(pixels),), np.arange(len(labels)), torch.ones(len(labels)), labels)
    objective = labelled_objective(SameBatch(batch), Normalise(Preprocessing(), CPU), settings)
    precision = chosen_precision(chain, objective, batch.part(slice(0, MEASURED_IMAGES["cpu"])))
    step = whole_step(chain, objective, precision, settings)
    return lambda: step(batch), precision.name
