"""How long the steps of a real pretraining run wait for their images."""

import json
import tempfile
from pathlib import Path
from typing import Any

import vitrail


def waiting_share(repeats: int, smoke: bool) -> dict[str, Any]:
    """Speed of the steps and the share of their time that was spent waiting, on the device that `auto` chooses."""
    steps = 8 if smoke else 40 * repeats
    settings: dict[str, Any] = {"classes": 20, "images_per_step": 16} if smoke else {"classes": 1000}
    with tempfile.TemporaryDirectory() as folder:
        result = vitrail.pretrain_formula(
            out=Path(folder) / "run", images=Path(folder) / "images", steps=steps, steps_per_epoch=steps, renderings=2,
            **settings,
        )  # fmt: skip
        report = json.loads((result.run / "report.json").read_text())
    return {
        "steps": steps,
        **report["sections"]["training"]["figures"]["speed"],
        "seconds_to_render_and_read": round(report["timings"]["images"], 1),
    }
