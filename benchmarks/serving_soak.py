"""A server at 80 % of the load it bears, whose model is exchanged every minute: does a request fail, does memory grow?

usage: python -m benchmarks.serving_soak [--minutes 10] [--json]

Two packages of the same small ViT with other weights take turns; weights and images are generated.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.figures import tell
from benchmarks.prediction_parts.packages import written_package
from benchmarks.serving_parts.requests import image_file, written_requests
from benchmarks.serving_parts.servers import Running, ours, running

LOAD, CLIENTS = 0.8, 8


def soak(minutes: int) -> dict[str, Any]:
    """Figures of so many minutes, each with one exchange in its middle."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        first = written_package(folder / "first", "vit_tiny_patch16_224")
        second = written_package(folder / "second", "deit_tiny_patch16_224")
        way = ours(first, written_requests(folder, image_file(500, 375))["form"], "--set", "deadline_seconds=15")
        with running({"ours": way}) as servers:
            server = servers["ours"]
            full = server.load(clients=CLIENTS, seconds=10.0, warm_seconds=5.0)["per_second"]
            rounds = [
                _minute(server, LOAD * full, number, (second, first)[number % 2]) for number in range(minutes)
            ]  # fmt: skip
    statuses = sum((Counter(each["statuses"]) for each in rounds), Counter[str]())
    return {
        "full_load_per_second": full,
        "asked_per_second": LOAD * full,
        "statuses": dict(statuses),
        "failed": sum(statuses.values()) - statuses["200"],
        "revisions": rounds[-1]["revision"],
        "p99_milliseconds_by_minute": [each["p99"] for each in rounds],
        "memory_megabytes_by_minute": [each["megabytes"] for each in rounds],
        "files_by_minute": [each["files"] for each in rounds],
    }


def _minute(server: Running, rate: float, number: int, package: Path) -> dict[str, Any]:
    told: dict[str, Any] = {}
    load = threading.Thread(
        target=lambda: told.update(server.load(rate=rate, seconds=58.0, warm_seconds=1.0, seed=number))
    )  # fmt: skip
    load.start()
    time.sleep(20)
    _exchange(server.port, package)
    load.join()
    state = _asked(server.port, "/v1/health")
    found = {
        "statuses": told["statuses"], "p99": told["milliseconds"]["p99"], "revision": state["revision"],
        **_held(server.port),
    }  # fmt: skip
    tell(f"minute {number + 1}: {found}")
    return found


def _exchange(port: int, package: Path) -> None:
    model = _asked(port, "/v1/routes")["routes"]["arms"][0]
    routes = {"routes": {"arms": [model]}, "packages": {model["model"]: str(package)}}
    _asked(port, "/v1/routes", method="PUT", body=json.dumps(routes).encode())


def _asked(port: int, path: str, *, method: str = "GET", body: bytes | None = None) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _held(port: int) -> dict[str, Any]:
    """Memory (what processes share is counted once) and open files of the front and its models."""
    front = next(pid for pid in _processes() if f"--port\0{port}\0".encode() in _bytes(f"/proc/{pid}/cmdline"))
    everybody = [front, *(pid for pid in _processes() if _parent(pid) == front)]
    kilobytes = [
        int(line.split()[1])
        for pid in everybody
        for line in _bytes(f"/proc/{pid}/smaps_rollup").decode().splitlines()
        if line.startswith("Pss:")
    ]
    files = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in everybody]
    return {"megabytes": round(sum(kilobytes) / 1000), "files": files}


def _processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def _parent(pid: int) -> int:
    words = _bytes(f"/proc/{pid}/stat").decode(errors="replace").rpartition(")")[2].split()
    return int(words[1]) if len(words) > 1 else 0


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="figures alone")
    given = parser.parse_args()
    figures = soak(given.minutes)
    p99 = figures["p99_milliseconds_by_minute"]
    tell(f"{figures['failed']} of {sum(figures['statuses'].values())} failed; p99 {statistics.median(p99)} ms")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
