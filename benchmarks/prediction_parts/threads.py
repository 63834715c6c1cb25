"""Images per second of `answers_of` from one thread and from eight, and of a plain timm loop."""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

import vitrail
from benchmarks.figures import median_with_interval, paired_ratio, tell
from benchmarks.prediction_parts.packages import written_package

MODEL = "vit_small_patch16_224"
THREADS = 8
BATCHES = 16
TURNS = 7


def threads(repeats: int, smoke: bool) -> dict[str, Any]:
    """By images at a time: medians of turns, and ratios within a turn."""
    model, sizes = ("test_vit", (2,)) if smoke else (MODEL, (1, 16))
    with tempfile.TemporaryDirectory() as folder:
        package = written_package(Path(folder), model)
        return {
            "model": model, "torch_threads": torch.get_num_threads(),
            **{f"{size} at a time": _speeds(package, size, (2 if smoke else TURNS) * repeats) for size in sizes},
        }  # fmt: skip


def _speeds(package: Path, size: int, turns: int) -> dict[str, Any]:
    with vitrail.load(package) as predictor:
        shown = predictor.preprocessing
        shape = (size, shown.height, shown.width, shown.channels)
        batches = list(np.random.default_rng(0).integers(0, 256, (BATCHES, *shape), dtype=np.uint8))
        predictor.prepare()
        loop = _plain_loop(package, predictor.device)
        ways: dict[str, Callable[[], Any]] = {
            "timm_loop": lambda: [loop(batch) for batch in batches],
            "one_thread": lambda: [predictor.answers_of(batch) for batch in batches],
            "eight_threads": partial(_from_threads, predictor.answers_of, batches),
        }
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(-1, turns):  # the first is not counted
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                if turn >= 0:
                    speeds[name].append(BATCHES * size / (time.perf_counter() - started))
            tell(f"{size} at a time, turn {turn + 1}: " + ", ".join(f"{n} {s[-1:]}" for n, s in speeds.items()))
    return {
        **{f"{name}_images_per_second": median_with_interval(found) for name, found in speeds.items()},
        "eight_threads_against_one": paired_ratio(speeds["eight_threads"], speeds["one_thread"]),
        "one_thread_against_timm": paired_ratio(speeds["one_thread"], speeds["timm_loop"]),
    }


def _from_threads(answer: Callable[[np.ndarray], Any], batches: list[np.ndarray]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(answer, batches))


def _plain_loop(package: Path, device: torch.device) -> Callable[[np.ndarray], Any]:
    """What anybody would write: timm's own loader, normalisation, softmax."""
    model = timm.create_model(f"local-dir:{package}", pretrained=True).eval().to(device)
    settings = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(settings[name], device=device).view(-1, 1, 1) for name in ("mean", "std"))

    def answer(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            images = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).contiguous().float().div_(255)
            return model(images.sub_(mean).div_(std)).softmax(dim=1).cpu().numpy()

    return answer
