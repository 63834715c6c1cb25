"""How fast the first product comes, beside the plain ways, in one run and on the same images.

usage: python -m benchmarks.first_product [--json] [--repeats 3] [--only product,features,decode,check]

Needs VITRAIL_REAL_DATA: a folder with `hymenoptera/{train,val}` and `vit_tiny_in1k` (timm folder). Every figure is
the median of interleaved repeats, its range beside it; ratios are medians of ratios within a repeat.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import summary
from benchmarks.processes import printed_by

PEERS = Path(__file__).parent / "peers"
TARGET = 0.94
# A process begins with the peak of the one that it was forked from: measure from one that is small.
PEAK_MEMORY = (
    "import resource, subprocess, sys; subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def main() -> None:
    """Run the parts that were asked for and print their figures."""
    arguments = _arguments()
    data = Path(os.environ["VITRAIL_REAL_DATA"])
    parts: dict[str, Callable[[Path, int], dict]] = {
        "product": seconds_to_product,
        "features": feature_pass_speed,
        "decode": decode_speed,
        "check": check_speed,
    }
    figures = {name: parts[name](data, arguments.repeats) for name in arguments.only.split(",")}
    print(json.dumps(figures, indent=2) if arguments.json else _table(figures))


def seconds_to_product(data: Path, repeats: int) -> dict:
    """Seconds from process start until a package with at least 94 % validation accuracy is on disk and loads."""
    images, weights = data / "hymenoptera", data / "vit_tiny_in1k"
    rounds = []
    for _ in range(repeats):
        round_: dict[str, float | None] = {"vitrail": _ours(images, weights), "probe_plain": _probe(images, weights)}
        for precision in ("fp32", "bf16"):
            round_[f"finetune_{precision}"] = _finetuned(images, weights, precision)
        rounds.append(round_)
    return product_figures(rounds)


def product_figures(rounds: list[dict[str, float | None]]) -> dict:
    """Seconds and ratios of the rounds in which the target was reached, and how many these are; a peer that does not
    get there is a figure, too."""
    figures: dict = {}
    for name in rounds[0]:
        reached = [seconds for each in rounds if (seconds := each[name]) is not None]
        figures[name] = summary(reached) if reached else None
        figures[f"{name}_reached"] = f"{len(reached)} of {len(rounds)}"
    for peer in (name for name in rounds[0] if name != "vitrail"):
        both = [(theirs, ours) for each in rounds if (theirs := each[peer]) and (ours := each["vitrail"])]
        figures[f"times_sooner_than_{peer}"] = summary([theirs / ours for theirs, ours in both]) if both else None
    return figures


def _ours(images: Path, weights: Path) -> float | None:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = ["vitrail", "fit", str(images), "--model", f"local-dir:{weights}", "--out", f"{folder}/run"]
        command += ["--preset", "quick", "--json"]
        done = printed_by([sys.executable, "-m", "vitrail", *command[1:]])
        seconds = time.perf_counter() - start
        printed_by([sys.executable, "-c", f"import vitrail; vitrail.load('{folder}/run/package')"])
        return seconds if json.loads(done)["quality"]["val"]["accuracy"]["value"] >= TARGET else None


def _probe(images: Path, weights: Path) -> float | None:
    start = time.perf_counter()
    done = printed_by([sys.executable, str(PEERS / "probe_plain.py"), str(images), str(weights)])
    seconds = time.perf_counter() - start
    return seconds if json.loads(done)["accuracy"] >= TARGET else None


def _finetuned(images: Path, weights: Path, precision: str) -> float | None:
    """Seconds until the end of the first epoch that reaches the target; None where no epoch does."""
    peer = [sys.executable, str(PEERS / "finetune_timm.py"), str(images), str(weights), precision]
    done = printed_by([*peer, "--layer-decay", "0.75"])
    epochs = [json.loads(line) for line in done.splitlines()]
    return next((epoch["seconds"] for epoch in epochs if epoch["accuracy"] >= TARGET), None)


def feature_pass_speed(data: Path, repeats: int) -> dict:
    """Images per second from files to features: ours against a plain float32 loop; and how well both agree."""
    import numpy as np
    import pyarrow.compute as pc

    import vitrail
    from vitrail.data.columns import places_of
    from vitrail.data.loader import pixel_batches
    from vitrail.data.workers import usable_cores
    from vitrail.features.feature_pass import PassMeans, PassSettings, feature_pass
    from vitrail.models.catalogue import build_model
    from vitrail.models.model_settings import ModelSettings
    from vitrail.prediction.runtimes.choosing import choose_runtime
    from vitrail.prediction.runtimes.runtime import Workload

    ready = build_model(ModelSettings.parse(name=f"local-dir:{data / 'vit_tiny_in1k'}"))
    rows = vitrail.check(data / "hymenoptera").table
    rows = rows.filter(pc.field("format") == "JPEG")
    places = places_of(rows)
    sample = next(pixel_batches(places[:8], ready.preprocessing, batch_size=8, workers=0))
    workload = Workload(ready.model, ready.preprocessing, ready.device, sample)
    best = choose_runtime(workload, asked="torch", images=len(places), exact=False).runtime

    def ours() -> tuple[float, "np.ndarray"]:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            means = PassMeans(best, PassSettings().batch_size_on(ready.device), usable_cores())
            features = feature_pass(ready, rows, Path(folder), means)
            return time.perf_counter() - start, np.array(features)

    def plain() -> tuple[float, "np.ndarray"]:
        start = time.perf_counter()
        features = _plain_features(ready.model, data / "hymenoptera")
        return time.perf_counter() - start, features

    ours(), plain()
    rounds = [(ours(), plain()) for _ in range(repeats)]
    one, other = rounds[0][0][1], rounds[0][1][1]
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return {
        "runtime": best.name,
        "vitrail_images_per_second": summary([len(places) / mine[0] for mine, _ in rounds]),
        "plain_fp32_loop_images_per_second": summary([len(places) / theirs[0] for _, theirs in rounds]),
        "times_as_fast": summary([theirs[0] / mine[0] for mine, theirs in rounds]),
        "least_cosine_to_fp32": float(cosine.min()),
    }


def _plain_features(model: Any, images: Path) -> Any:
    """The peer: timm's transform, torchvision's ImageFolder, a float32 loop."""
    import timm
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    parts = []
    for split in ("train", "val"):
        folder = ImageFolder(str(images / split), transform)
        folder.samples = [sample for sample in folder.samples if not sample[0].endswith(".gif")]
        with torch.inference_mode():
            for batch, _ in DataLoader(folder, batch_size=32):
                parts.append(model.forward_head(model.forward_features(batch), pre_logits=True))
    return torch.cat(parts).numpy()


def decode_speed(data: Path, repeats: int) -> dict:
    """Images per second and core, 320-pixel JPEG files to model input: ours against torchvision's ImageFolder."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    from vitrail.data.columns import places_of
    from vitrail.data.image_table import read_image_table
    from vitrail.data.loader import pixel_batches
    from vitrail.data.preprocessing import Preprocessing

    places = places_of(read_image_table(data / "hymenoptera").rows)
    preprocessing = Preprocessing(crop_fraction=0.9)
    theirs = transforms.Compose(
        [
            transforms.Resize(248, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(224),
            transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )  # fmt: skip
    folders = [ImageFolder(str(data / "hymenoptera" / split), theirs) for split in ("train", "val")]

    def ours(workers: int) -> float:
        start = time.perf_counter()
        sum(len(batch) for batch in pixel_batches(places, preprocessing, batch_size=32, workers=workers))
        return len(places) / (time.perf_counter() - start)

    def torchvision(workers: int) -> float:
        start = time.perf_counter()
        for folder in folders:
            sum(len(batch) for batch, _ in DataLoader(folder, batch_size=32, num_workers=workers))
        return len(places) / (time.perf_counter() - start)

    ours(0), torchvision(0), ours(1)
    rounds = [{"vitrail": ours(0), "torchvision": torchvision(0), "vitrail_worker": ours(1),
               "torchvision_worker": torchvision(1)} for _ in range(repeats)]  # fmt: skip
    return {name: summary([each[name] for each in rounds]) for name in rounds[0]} | {
        "times_as_fast_in_process": summary([each["vitrail"] / each["torchvision"] for each in rounds]),
        "times_as_fast_in_a_worker": summary([each["vitrail_worker"] / each["torchvision_worker"] for each in rounds]),
    }


def check_speed(data: Path, repeats: int) -> dict:
    """Files per second and peak memory of `vitrail check` on 20,000 generated JPEG files."""
    count = 20_000
    with tempfile.TemporaryDirectory() as folder:
        _generate(Path(folder), count)
        rounds = []
        for _ in range(repeats):
            start = time.perf_counter()
            check = [sys.executable, "-m", "vitrail", "check", folder, "--json", "--quiet"]
            peak = int(printed_by([sys.executable, "-c", PEAK_MEMORY, *check]))
            rounds.append((count / (time.perf_counter() - start), peak / 1024))
    return {
        "files": count,
        "files_per_second": summary([speed for speed, _ in rounds]),
        "peak_megabytes_of_the_largest_process": max(memory for _, memory in rounds),
    }


def _generate(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for index in range(count):
        if index < 10:
            (folder / f"class{index}").mkdir()
        coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(folder / f"class{index % 10}" / f"{index:05d}.jpg")


def _table(figures: dict) -> str:
    lines = []
    for part, values in figures.items():
        lines.append(f"\n{part}")
        for name, value in values.items():
            shown = (
                f"{value['median']:>10} ({value['least']}-{value['most']})"
                if isinstance(value, dict)
                else f"{'never' if value is None else value:>10}"
            )
            lines.append(f"  {name:<42}{shown}")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeats", type=int, default=3, help="interleaved repeats")
    parser.add_argument("--only", default="product,features,decode,check", help="parts, comma-separated")
    return parser.parse_args()


if __name__ == "__main__":
    main()
