"""What an image more costs a feature store in memory, from 5,000 to 50,000 generated images.

usage: python -m benchmarks.features_parts.memory FOLDER STORE   (one such process, prints JSON)
"""

import json
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.figures import summary, tell
from benchmarks.processes import figures_of

FEW, MANY = 5_000, 50_000
_PER_FOLDER = 1_000


def store_memory(repeats: int, smoke: bool) -> dict[str, Any]:
    """Anonymous bytes of the process for each image beyond the fewer, at the peak and halfway through the pass.

    The images are tiny and the model is too, so that nothing hides what grows with their number; each run is a process
    of its own. Memory-mapped files (the list of images, rows that wait for their shard) are not anonymous: the system
    takes them back when it needs the space.
    """
    few, many = (200, 1_000) if smoke else (FEW, MANY)
    peaks: list[float] = []
    rounds: list[dict[int, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory() as place:
        for count in (few, many):
            write_images(Path(place) / str(count), count)
        for turn in range(repeats):
            rounds.append({count: _in_own_process(Path(place), count, turn) for count in (few, many)})
            peaks.append((rounds[-1][many]["peak"] - rounds[-1][few]["peak"]) / (many - few))
            tell(f"round {turn + 1} of {repeats}: {rounds[-1]}")
    return {
        "images": [few, many],
        "anonymous_megabytes_at_peak": {
            str(count): summary([each[count]["peak"] / 1e6 for each in rounds]) for count in (few, many)
        },
        "bytes_per_image": summary(peaks),
        "images_per_second": summary([each[many]["images_per_second"] for each in rounds]),
    }


def write_images(folder: Path, count: int) -> None:
    """So many small pictures, no two alike, in class folders of a thousand."""
    random = np.random.default_rng(0)
    for first in range(0, count, _PER_FOLDER):
        place = folder / f"class-{first // _PER_FOLDER:03d}"
        place.mkdir(parents=True)
        for number in range(first, min(first + _PER_FOLDER, count)):
            Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place / f"{number:08d}.bmp")


def measured_store(folder: Path, out: Path) -> dict[str, Any]:
    """In this process: the greatest anonymous memory while a store of the images in `folder` is written."""
    import vitrail

    seen: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            seen.append(anonymous_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        result = vitrail.write_features(
            "test_vit", folder, out=out, nodes="pooled", pretrained=False, image_size=32, batch_size=64,
            runtime="torch float32", workers=1,
        )  # fmt: skip
    finally:
        ended.set()
        watcher.join()
    tenths = [seen[round(share * (len(seen) - 1) / 10)] for share in range(11)]
    return {
        "peak": max(seen),
        "tenths_of_the_time": tenths,
        "images_per_second": round(result.counted.added / result.seconds, 1),
    }


def anonymous_bytes() -> int:
    """Memory of this process that is no file's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("/proc/self/status has no RssAnon: this needs Linux")


def _in_own_process(place: Path, count: int, turn: int) -> dict[str, Any]:
    return figures_of("benchmarks.features_parts.memory", place / str(count), place / f"{count}-{turn}")


if __name__ == "__main__":
    print(json.dumps(measured_store(Path(sys.argv[1]), Path(sys.argv[2]))))
