"""Run by itself (`python -m vitrail.rollout.admission.memory_probe PACKAGE DEVICE`): how much memory a package takes.

It prints one line of JSON: bytes in use after the libraries were imported, and at the peak of some batches.
"""

import json
import sys
from pathlib import Path

import numpy as np

from vitrail.prediction.predictor import load

if sys.platform != "win32":
    import resource

IMAGES, BATCHES = 8, 3


def peak_bytes(status: Path = Path("/proc/self/status")) -> int:
    """The most memory that this process ever had; `ru_maxrss` would count that of its parent, too."""
    try:
        lines = status.read_text().splitlines()
    except OSError:  # not Linux
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def main(package: str, device: str) -> None:
    """Load it, compute some batches, and say what that took."""
    before = peak_bytes()
    predictor = load(package, device=device)
    shown = predictor.preprocessing
    generator = np.random.default_rng(0)
    for _ in range(BATCHES):
        pixels = generator.integers(0, 256, (IMAGES, shown.height, shown.width, shown.channels), dtype=np.uint8)
        predictor.answers_of(pixels)
    sys.stdout.write(json.dumps({"before": before, "peak": peak_bytes()}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
