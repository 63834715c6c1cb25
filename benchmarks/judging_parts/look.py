"""Seconds until `vitrail look` has shown one image, in a process of its own: imports, package, maps, verdicts, page.

The peer is what anybody would write with timm: the same model with `fused_attn = False`, a hook on the last layer's
`attn_drop`, and the map drawn on the picture; no rollout, no relevance, no verdict, no page.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.judging_parts.turns import compared, timed_in_turns
from benchmarks.prediction_parts.packages import written_package

MODELS, TURNS = ("vit_tiny_patch16_224", "vit_small_patch16_224"), 5

_PEER = """
import sys, timm, torch
import numpy as np
from PIL import Image
name, image, out = sys.argv[1:]
model = timm.create_model(name, num_classes=3).eval()
for block in model.blocks:
    block.attn.fused_attn = False
seen = []
model.blocks[-1].attn.attn_drop.register_forward_hook(lambda module, args, output: seen.append(output))
side = model.pretrained_cfg["input_size"][-1]
picture = np.asarray(Image.open(image).convert("RGB").resize((side, side)))
with torch.no_grad():
    model((torch.tensor(picture).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5)
grid = int((seen[0].shape[-1] - 1) ** 0.5)
heat = seen[0][0, 0, 0, 1:].reshape(1, 1, grid, grid)
heat = torch.nn.functional.interpolate(heat, size=(side, side))[0, 0]
shown = (picture * (0.3 + 0.7 * (heat / heat.max())[..., None].numpy())).astype(np.uint8)
Image.fromarray(shown).save(out)
"""


def measured(repeats: int, smoke: bool) -> dict[str, Any]:
    """Seconds of the command, and of the peer, by model."""
    found: dict[str, Any] = {"aim_seconds": 3.0}
    for name in ("test_vit",) if smoke else MODELS:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = _measured(Path(folder), name, turns=(1 if smoke else TURNS) * repeats, warm=not smoke)
    return found


def _measured(folder: Path, name: str, *, turns: int, warm: bool) -> dict[str, Any]:
    package, image = written_package(folder, name), folder / "image.png"
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((320, 240), Image.Resampling.BICUBIC).save(image)
    numbers = iter(range(1000))

    def ours() -> None:
        out = folder / f"look{next(numbers)}"
        command = [sys.executable, "-m", "vitrail", "look", str(package), str(image), "--out", str(out), "--quiet"]
        subprocess.run(command, check=True, capture_output=True)

    def peer() -> None:
        command = [sys.executable, "-c", _PEER, name, str(image), str(folder / "peer.png")]
        subprocess.run(command, check=True, capture_output=True)

    seconds = timed_in_turns({"vitrail": ours, "plain_hook": peer}, turns=turns, warm=warm)
    return compared(seconds, ours="vitrail", peer="plain_hook")
