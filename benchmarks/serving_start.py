"""How soon does a server answer, and again after a model was killed, and what memory do its models take?

usage: python -m benchmarks.serving_start [--models 1 2 5] [--rounds 3]

Servers whose model processes are forked by the nursery take turns with servers that begin each as a new interpreter,
as where there is no nursery. Packages are small ViTs with random weights: what is measured is the start, not the model.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import tell
from benchmarks.prediction_parts.packages import written_package

WAYS = {
    "nursery": "",
    "directly": "import vitrail.serving.nursery as nurseries; nurseries._is_possible = lambda: False; ",
}
SERVE = "import json, sys, vitrail; vitrail.serve(json.loads(sys.argv[1]), **json.loads(sys.argv[2]))"


def starts(models: list[int], rounds: int) -> list[dict[str, Any]]:
    """Medians of so many rounds for each number of models and each way."""
    with tempfile.TemporaryDirectory() as place:
        packages = [
            str(written_package(Path(place) / f"model{number}", "vit_tiny_patch16_224"))
            for number in range(max(models))
        ]
        cases = list(itertools.product(models, WAYS))
        told: dict[tuple[int, str], list[dict[str, float]]] = {case: [] for case in cases}
        for count, way in cases * rounds:
            told[count, way].append(_start(packages[:count], way))
            tell(f"{count} models, {way}: {told[count, way][-1]}")
    return [
        {"models": count, "way": way, **{name: round(median(each[name] for each in found), 2) for name in found[0]}}
        for (count, way), found in told.items()
    ]


def _start(packages: list[str], way: str) -> dict[str, float]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = {"port": port, "state": "none", "runtime": "torch", "device": "cpu", "threads": 1}
    began = time.monotonic()
    with _running(WAYS[way] + SERVE, json.dumps(packages), json.dumps(settings)) as front:
        _until(port, lambda models: any(each["state"] == "ready" for each in models))
        first = time.monotonic() - began
        models = _until(port, lambda models: models and all(each["state"] == "ready" for each in models))
        whole = time.monotonic() - began
        megabytes = sum(_pss(pid) for pid in (front, *_children(front))) / 2**20
        name = models[0]["model_id"]
        os.kill(_process_of(front, name), signal.SIGKILL)
        killed = time.monotonic()
        _until(port, lambda models: models[0]["restarts"] == 1 and models[0]["state"] == "ready")
        return {
            "first_model_seconds": first, "all_models_seconds": whole,
            "again_seconds": time.monotonic() - killed, "megabytes": megabytes,
        }  # fmt: skip


@contextlib.contextmanager
def _running(code: str, *arguments: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _until(port: int, holds: Any) -> list[dict[str, Any]]:
    while True:
        with contextlib.suppress(OSError, LookupError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5) as reply:
                models: list[dict[str, Any]] = json.load(reply)["models"]
            if holds(models):
                return models
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _process_of(front: int, name: str) -> int:
    words = {pid: Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0") for pid in _children(front)}
    return next(pid for pid, said in words.items() if said[-1] == name)


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 2, 5])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(json.dumps(starts(asked.models, asked.rounds), indent=2))


if __name__ == "__main__":
    main()
