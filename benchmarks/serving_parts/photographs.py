"""ViT-S/16 and a photograph of 500 × 375 pixels: as each server comes from its quick start, and on the same runtime."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.prediction_parts.packages import written_package
from benchmarks.serving_parts.requests import image_file, written_requests
from benchmarks.serving_parts.servers import ours, peer, running
from benchmarks.serving_parts.turns import asked_in_turns, at_equal_p99, figures_of

MODEL = "vit_small_patch16_224"
SECONDS = {1: 4.0, 8: 6.0}
MANY = {64: 16.0}
"""In a closed loop of 64 clients each waits for 64 answers: so long that all have had some."""
TURNS = 3
BATCHED = ("--batch", "8", "--timeout", "0.01")


def photographs(repeats: int, smoke: bool) -> dict[str, Any]:
    """Requests a second and times of answers; `auto` and `bfloat16` are ours with that runtime."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        package = written_package(folder, "test_vit" if smoke else MODEL)
        asked = written_requests(folder, image_file(500, 375))
        form, text = asked["form"], asked["base64"]
        ways = {
            "ours_auto": ours(package, form),
            "ours_bfloat16": None if smoke else ours(package, form, "--set", "runtime=openvino bfloat16"),
            "ours_torch": ours(package, form, "--set", "runtime=torch"),
            "litserve": peer("serve_litserve.py", text, str(package)),
            "litserve_batched": peer("serve_litserve.py", text, str(package), *BATCHED),
            "fastapi": peer("serve_fastapi.py", form, str(package)),
        }
        with running(ways) as servers:
            seconds, turns = ({2: 0.5}, 1) if smoke else (SECONDS, TURNS * repeats)
            found = asked_in_turns(servers, seconds, turns=turns)
            many = {} if smoke else asked_in_turns(servers, MANY, turns=repeats)
    peers = [name for name in ("litserve", "litserve_batched", "fastapi") if name in found]
    clients = max(seconds)
    return {
        "not_installed": [name for name in ("litserve", "fastapi") if ways[name] is None],
        **figures_of(found, ours=("ours_auto", "ours_torch"), peers=peers),
        f"requests_per_second_at_the_p99_of_the_peer_with_{clients}_clients": {
            f"{one} / {other}": at_equal_p99(found, ours=one, peer=other, clients=clients)
            for one in ("ours_auto", "ours_bfloat16", "ours_torch")
            if one in found
            for other in peers
        },
        **({"many_clients": figures_of(many, ours=("ours_auto", "ours_torch"), peers=peers)} if many else {}),
    }
