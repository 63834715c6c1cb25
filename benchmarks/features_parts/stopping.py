"""What it costs to stop in the middle: ViT-S/16 down to block 6 of 12, against the whole network."""

import time
from typing import Any

import timm
import torch

from benchmarks.figures import median_with_interval, tell
from vitrail.features import create_feature_extractor

MODEL = "vit_small_patch16_224"
NODE = "blocks.5"
BATCH = 16
ROUTES = ("own", "hooks", "graph")
PAIRS = 11


def stopping_cost(repeats: int, smoke: bool) -> dict[str, Any]:
    """Model time of every route, as a share of the whole network's."""
    model: Any = timm.create_model("test_vit" if smoke else MODEL).eval()
    images = torch.randn(2 if smoke else BATCH, *model.default_cfg["input_size"])
    ways = {route: create_feature_extractor(model, [NODE], route=route) for route in ROUTES}
    shares: dict[str, list[float]] = {route: [] for route in ways}
    with torch.inference_mode():
        for way in (model, *ways.values()):
            way(images)
        for turn in range((2 if smoke else PAIRS) * repeats):
            whole = _seconds(model, images)
            for route, way in ways.items():
                shares[route].append(_seconds(way, images) / whole)
            tell(f"turn {turn + 1}: {whole:.2f} s; " + ", ".join(f"{r} {s[-1]:.3f}" for r, s in shares.items()))
    return {"model": MODEL, "node": NODE, "share_of_the_whole": {r: median_with_interval(s) for r, s in shares.items()}}


def _seconds(way: torch.nn.Module, images: torch.Tensor) -> float:
    started = time.perf_counter()
    way(images)
    return time.perf_counter() - started
