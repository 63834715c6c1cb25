"""Twice the load that a server bears, in an open loop: who is refused, how soon, and what the others get."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import summary, tell
from benchmarks.prediction_parts.packages import written_package
from benchmarks.serving_parts.requests import image_file, written_requests
from benchmarks.serving_parts.servers import Running, ours, running

DEADLINE_SECONDS = 2.0
CLIENTS = {"nothing": 64, "photographs": 8}
"""That keep it busy all the time without waiting for too long: the full load."""
SECONDS, WARM_SECONDS, TURNS = 6.0, 3.0, 3


def overload(repeats: int, smoke: bool) -> dict[str, Any]:
    """By network: a ViT-S/16 with photographs, and a network that costs next to nothing with 32-pixel images."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        packages = {"nothing": (written_package(folder / "nothing", "test_vit", image_size=32), image_file(32, 32))}
        if not smoke:
            packages["photographs"] = (
                written_package(folder / "photographs", "vit_small_patch16_224"), image_file(500, 375)
            )  # fmt: skip
        return {name: _of(*given, CLIENTS[name], repeats, smoke) for name, given in packages.items()}


def _of(package: Path, image: bytes, clients: int, repeats: int, smoke: bool) -> dict[str, Any]:
    way = ours(
        package, written_requests(package.parent, image)["form"],
        "--set", f"deadline_seconds={DEADLINE_SECONDS}", "--set", f"model_seconds={DEADLINE_SECONDS}",
    )  # fmt: skip
    with running({"ours": way}) as servers:
        turns = range(1 if smoke else TURNS * repeats)
        rounds = [_round(servers["ours"], clients, seed, smoke) for seed in turns]
    names = [name for name in rounds[0] if all(name in each for each in rounds)]
    return {
        "deadline_seconds": DEADLINE_SECONDS,
        **{name: summary([each[name] for each in rounds]) for name in names},
    }  # fmt: skip


def _round(server: Running, clients: int, seed: int, smoke: bool) -> dict[str, float]:
    long, warm = (0.5, 0.2) if smoke else (SECONDS, WARM_SECONDS)
    full = server.load(clients=clients, seconds=long, warm_seconds=warm)
    twice = server.load(rate=2 * full["per_second"], seconds=long, warm_seconds=warm, seed=seed)
    asked = sum(twice["statuses"].values())
    refused, times = twice["statuses"].get("503", 0), twice.get("milliseconds_of_503", {})
    tell(f"full {full['per_second']}/s, twice {twice}")
    return {
        "full_load_per_second": full["per_second"],
        "goodput_against_full_load": twice["per_second"] / full["per_second"],
        "share_refused": refused / asked,
        "share_neither_answered_nor_refused": 1 - (refused + twice["statuses"].get("200", 0)) / asked,
        **{f"refused_{name}_milliseconds": value for name, value in times.items()},
        **{f"answered_{name}_milliseconds": value for name, value in twice["milliseconds"].items()},
        "load_core_share": twice["load_core_share"],
        "question_most_late_milliseconds": twice["most_late_milliseconds"],
    }
