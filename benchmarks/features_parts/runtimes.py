"""Images per second of every runtime, beside timm in eager float32, with how near their features come to it."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import timm
import torch

from benchmarks.figures import median_with_interval, summary, tell
from vitrail.basics.errors import InputError, SystemFault
from vitrail.models.catalogue import preprocessing_of
from vitrail.models.inputs import Pixels
from vitrail.prediction.runtimes.agreement import agreement_of
from vitrail.prediction.runtimes.known import RUNTIMES
from vitrail.prediction.runtimes.runtime import Forward
from vitrail.prediction.runtimes.torch_runtime import COMPILED

MODEL, SMOKE_MODEL = "vit_small_patch16_224", "test_vit"
BATCH_SIZES = (8, 16)
ROUNDS = 12
CPU = torch.device("cpu")


def runtime_speed(repeats: int, smoke: bool) -> dict[str, Any]:
    """Forward passes alone, images already in memory, as a feature pass does them: as many batches at once as there
    are cores. The peer is the plain way: one batch after the other, torch dividing each among its cores.

    All take turns. The model has random weights: its speed does not depend on them.
    """
    torch.manual_seed(0)
    model = timm.create_model(SMOKE_MODEL if smoke else MODEL).eval()
    return {f"batch of {size}": _speeds(model, size, 2 if smoke else ROUNDS * repeats) for size in BATCH_SIZES}


def _speeds(model: Any, size: int, rounds: int) -> dict[str, Any]:
    shown, threads = preprocessing_of(model), torch.get_num_threads()
    given = np.random.default_rng(0).integers(0, 256, (size, shown.height, shown.width, 3), dtype=np.uint8)
    pixels = Pixels(given)
    inputs = torch.from_numpy(given).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.5).contiguous()
    figures: dict[str, Any] = {}

    def peer() -> None:
        with torch.inference_mode():
            model.forward_head(model.forward_features(inputs))

    with contextlib.ExitStack() as stack:
        ways: dict[str, Forward] = {}
        exact: tuple[torch.Tensor, ...] = ()
        for runtime in RUNTIMES:
            if runtime == COMPILED:  # a minute of preparation per batch size
                continue
            started = time.perf_counter()
            try:
                forward = stack.enter_context(runtime.applied(model, shown, CPU, callers=threads))
                answers = forward(pixels)
            except (InputError, SystemFault) as fault:
                figures[runtime.name] = {"fault": fault.message}
                continue
            preparation = round(time.perf_counter() - started, 2)
            exact = exact or answers
            found = agreement_of(answers, exact, features=1)
            ways[runtime.name] = forward
            figures[runtime.name] = {"least_cosine": round(found.cosine, 6), "relative_error": found.relative_error,
                                     "preparation_seconds": preparation}  # fmt: skip
        one, many = stack.enter_context(ThreadPoolExecutor(1)), stack.enter_context(_pool(threads))
        rates: dict[str, list[float]] = {name: [] for name in ("timm eager float32", *ways)}
        for number in range(rounds + 1):  # the first round warms up
            seconds = {"timm eager float32": _seconds(one, peer, threads)}
            seconds |= {name: _seconds(many, lambda way=way: way(pixels), threads) for name, way in ways.items()}
            for name, taken in seconds.items():
                rates[name] += [threads * size / taken] if number else []
            tell(
                f"batch {size}, round {number}: "
                + ", ".join(f"{name} {taken:.2f} s" for name, taken in seconds.items())
            )
    for name, values in rates.items():
        ratios = [mine / theirs for mine, theirs in zip(values, rates["timm eager float32"], strict=True)]
        figures.setdefault(name, {}).update(
            images_per_second=summary(values), times_as_fast=median_with_interval(ratios)
        )
    return figures


def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1))


def _seconds(pool: ThreadPoolExecutor, call: Callable[[], Any], times: int) -> float:
    started = time.perf_counter()
    for each in [pool.submit(call) for _ in range(times)]:
        each.result()
    return time.perf_counter() - started
