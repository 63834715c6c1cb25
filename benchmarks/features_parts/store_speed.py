"""From a folder of JPEG files to vectors on disk: our store beside the plain ways, ViT-S/16, in turns.

usage: python -m benchmarks.features_parts.store_speed WAY IMAGES OUT   (one such process, prints JSON)
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.figures import paired_ratio, summary, tell
from benchmarks.processes import figures_of

MODULE = "benchmarks.features_parts.store_speed"
MODEL = "vit_small_patch16_224"
NODE = "norm"
BATCH = 16
WORKERS = 2


def store_speed(repeats: int, smoke: bool) -> dict[str, Any]:
    """Images per second of every way, without the start of its process and its imports, and how well vectors agree.

    All ways decode the same files in as many worker processes, and end with class tokens of the last norm in files.
    Weights are random and the same. `fastest` is ours with the runtime that is measured to be the fastest faithful one;
    `exact` and `torch` are ours in float32, by OpenVINO and by torch.
    """
    images, rounds = (32 if smoke else 1024), []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        write_jpegs(folder, images)
        for turn in range(repeats):
            order = list(WAYS) if turn % 2 == 0 else list(reversed(WAYS))
            rounds.append({way: figures_of(MODULE, way, folder, Path(place) / f"{way}-{turn}") for way in order})
            tell(f"round {turn + 1} of {repeats}: {rounds[-1]}")
        agreement = {way: _agreement(Path(place) / f"{way}-0", Path(place) / "loop-0") for way in WAYS}
    seconds = {way: [each[way]["seconds"] for each in rounds] for way in WAYS}
    return {
        "model": MODEL,
        "images": images,
        "images_per_second": {way: summary([images / each for each in seconds[way]]) for way in WAYS},
        "times_as_fast_as_the_plain_loop": {way: paired_ratio(seconds["loop"], seconds[way]) for way in WAYS},
        "runtime": {way: rounds[0][way]["runtime"] for way in WAYS},
        "agreement_with_the_plain_loop": agreement,
    }


def write_jpegs(folder: Path, count: int) -> None:
    """Photograph-sized pictures with some structure, in two class folders."""
    random = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class-{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize((512, 384), Image.Resampling.BICUBIC).save(place / f"{number:05d}.jpg", quality=90)


def ours(runtime: str) -> Callable[[Path, Path], str]:
    """`vitrail.write_features` with this runtime."""

    def write(folder: Path, out: Path) -> str:
        import vitrail

        result = vitrail.write_features(
            MODEL, folder, out=out, nodes=f"{NODE}=cls", pretrained=False, runtime=runtime, workers=WORKERS
        )
        return result.manifest.runtime

    return write


def loop(folder: Path, out: Path) -> str:
    """torchvision's extractor in a DataLoader loop, float32, one .npy at the end: what its documentation leads to."""
    import torch
    from torchvision.models.feature_extraction import create_feature_extractor

    model, loader = _model(), _loader(folder)
    extractor = create_feature_extractor(model, {NODE: "features"})
    with torch.inference_mode():
        rows = [extractor(images)["features"][:, 0] for images, _ in loader]
    return _saved(rows, out)


def hooks(folder: Path, out: Path) -> str:
    """A forward hook, the whole network run, one .npy at the end."""
    import torch

    model, found = _model(), dict[str, Any]()
    model.get_submodule(NODE).register_forward_hook(lambda _m, _i, result: found.update(now=result))
    rows = []
    with torch.inference_mode():
        for images, _ in _loader(folder):
            model(images)
            rows.append(found["now"][:, 0])
    return _saved(rows, out)


def in_memory(folder: Path, out: Path) -> str:
    """Vectors, names and labels held in memory until the end, then one file, as embedding commands do it."""
    import torch

    model, loader = _model(), _loader(folder)
    rows, labels = [], []
    with torch.inference_mode():
        for images, numbers in loader:
            rows.append(model.forward_features(images)[:, 0])
            labels += numbers.tolist()
    out.mkdir()
    names = [path for path, _ in loader.dataset.samples]
    torch.save({"features": torch.cat(rows), "labels": labels, "names": names}, out / "all.pt")
    return _saved(rows, out)


WAYS: dict[str, Callable[[Path, Path], str]] = {
    "fastest": ours("auto"), "exact": ours("openvino float32"), "torch": ours("torch float32"), "loop": loop,
    "hooks": hooks, "in_memory": in_memory,
}  # fmt: skip


def measured_way(way: str, folder: Path, out: Path) -> dict[str, Any]:
    """In this process: seconds from the first image to the last vector on disk. Libraries are imported before."""
    import timm  # noqa: F401
    import torch  # noqa: F401
    import torchvision.models.feature_extraction  # noqa: F401

    import vitrail.workflows.features.write  # noqa: F401

    started = time.perf_counter()
    runtime = WAYS[way](folder, out)
    return {"seconds": round(time.perf_counter() - started, 3), "runtime": runtime}


def _model() -> Any:
    """The very model that ours builds, random weights included."""
    from vitrail.features.store.named_model import named_model
    from vitrail.workflows.features.settings import FeaturesSettings

    settings = FeaturesSettings.gather(name=MODEL, pretrained=False)
    return named_model(settings.model, device="cpu").ready.model


def _loader(folder: Path) -> Any:
    import timm
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    shown = timm.data.create_transform(**timm.data.resolve_data_config(model=_description()), is_training=False)
    return DataLoader(ImageFolder(str(folder), shown), batch_size=BATCH, num_workers=WORKERS)


def _description() -> Any:
    import timm

    return timm.create_model(MODEL)


def _saved(rows: list[Any], out: Path) -> str:
    import torch

    out.mkdir(exist_ok=True)
    np.save(out / "features.npy", torch.cat(rows).numpy())
    return "float32"


def _vectors(out: Path) -> np.ndarray:
    import vitrail

    file = out / "features.npy"
    return np.load(file) if file.exists() else vitrail.open_features(out).numpy()


def _agreement(out: Path, plain: Path) -> dict[str, float]:
    """Least cosine and largest relative error of any vector; both list the images by class folder, then name."""
    vectors, reference = _vectors(out).astype(np.float64), _vectors(plain).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = (vectors * reference).sum(axis=1) / lengths
    errors = np.abs(vectors - reference).max(axis=1) / np.abs(reference).max(axis=1)
    return {"least_cosine": round(float(cosines.min()), 6), "largest_relative_error": float(f"{errors.max():.3g}")}


if __name__ == "__main__":
    print(json.dumps(measured_way(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
