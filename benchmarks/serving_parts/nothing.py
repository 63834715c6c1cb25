"""A model that costs nothing: what is left is the server. 32-pixel images, which all decode and bring to their size.

Ours really has a network, of six narrow blocks over five tokens; the peers answer with a constant.
"""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.prediction_parts.packages import written_package
from benchmarks.serving_parts.requests import image_file, written_requests
from benchmarks.serving_parts.servers import ours, peer, running
from benchmarks.serving_parts.turns import asked_in_turns, figures_of

SIDE = 32
SECONDS = {1: 2.0, 8: 2.0, 64: 3.0}
TURNS = 5


def nothing(repeats: int, smoke: bool) -> dict[str, Any]:
    """Requests a second, and our own time around decoding and computing."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        package = written_package(folder, "test_vit", image_size=SIDE)
        asked = written_requests(folder, image_file(SIDE, SIDE))
        words = ("nothing", "--size", str(SIDE))
        ways = {
            "ours": ours(package, asked["form"]),
            "litserve": peer("serve_litserve.py", asked["base64"], *words),
            "fastapi": peer("serve_fastapi.py", asked["form"], *words),
        }
        with running(ways) as servers:
            seconds, turns = ({2: 0.5}, 1) if smoke else (SECONDS, TURNS * repeats)
            found = asked_in_turns(servers, seconds, turns=turns)
    return {
        "not_installed": [name for name, way in ways.items() if way is None],
        **figures_of(found, ours=["ours"], peers=["litserve", "fastapi"]),
    }
