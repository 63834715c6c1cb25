"""The whole default fit on covid_ct's official split, against plain fine-tuning until it is as good."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import median_with_interval, summary, tell
from benchmarks.training_parts.job import real_data

PEER = Path(__file__).parents[1] / "peers" / "finetune_timm.py"
EPOCHS = 20
FEW = 12
PRECISIONS = ("fp32", "bf16")
SMOKE = ("--set", "head_epochs=1", "--set", "top_epochs=1", "--set", "all_epochs=1")


def seconds_to_equal_auc(repeats: int, smoke: bool) -> dict[str, Any]:
    """Seconds of `vitrail fit` with all defaults, and seconds until timm's fine-tuning has the same validation AUC.

    Both begin with the process. The peer stops at the first of its 20 epochs that is as good; its seed is the number
    of the round.
    """
    if smoke:
        with tempfile.TemporaryDirectory() as folder:
            return _compared(_few(real_data() / "covid_ct", Path(folder)), repeats, SMOKE, epochs=1)
    return _compared(real_data() / "covid_ct", repeats, (), epochs=EPOCHS)


def _compared(images: Path, repeats: int, settings: tuple[str, ...], *, epochs: int) -> dict[str, Any]:
    weights, rounds = real_data() / "vit_tiny_in1k", list[dict[str, Any]]()
    for turn in range(repeats):
        ours = fitted(images, weights, settings)
        tell(f"vitrail: {ours['seconds']:.0f} s, validation AUC {ours['validation_auc']:.3f}")
        peers = {
            name: finetuned(images, weights, name, epochs, ours["validation_auc"], seed=turn) for name in PRECISIONS
        }
        rounds.append({"vitrail": ours, **peers})
    figures: dict[str, Any] = {
        "vitrail": {name: summary([each["vitrail"][name] for each in rounds]) for name in rounds[0]["vitrail"]}
    }
    for name in PRECISIONS:
        figures[f"timm_{name}"] = _peer_figures(name, rounds)
    return figures


def _few(images: Path, folder: Path) -> Path:
    """Links to the first images of every class and split."""
    for place in sorted(images.glob("*/*/")):
        inside = folder / place.relative_to(images)
        inside.mkdir(parents=True)
        for file in sorted(place.iterdir())[:FEW]:
            (inside / file.name).symlink_to(file)
    return folder


def _peer_figures(name: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds in which the peer became as good; None where it never did."""
    reached = [each for each in rounds if each[name]["seconds_to_equal_auc"] is not None]
    seconds = [each[name]["seconds_to_equal_auc"] for each in reached]
    ratios = [each[name]["seconds_to_equal_auc"] / each["vitrail"]["seconds"] for each in reached]
    return {
        "rounds": len(rounds),
        "rounds_that_reached_our_auc": len(reached),
        "seconds_to_equal_auc": summary(seconds) if reached else None,
        "times_sooner": median_with_interval(ratios) if reached else None,
        "epochs": summary([each[name]["epochs"] for each in rounds]),
        "seconds_per_epoch": summary([each[name]["seconds"] / each[name]["epochs"] for each in rounds]),
        "seconds_of_all_its_epochs": summary([each[name]["seconds"] for each in rounds]),
        "best_validation_auc": summary([each[name]["best_auc"] for each in rounds]),
    }


def fitted(images: Path, weights: Path, settings: tuple[str, ...]) -> dict[str, float]:
    """Seconds of the process `vitrail fit`, and the AUC that it reports for validation and test images."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["fit", str(images), "--model", f"local-dir:{weights}", "--out", f"{folder}/run", "--json", "--quiet"]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "vitrail", *command, *settings], capture_output=True, text=True)
        seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"vitrail {' '.join(command)} failed:\n{done.stderr}")
    quality = json.loads(done.stdout)["quality"]
    return {
        "seconds": seconds,
        "validation_auc": quality["val"]["auc"]["value"],
        "test_auc": quality["test"]["auc"]["value"],
    }


def finetuned(
    images: Path, weights: Path, precision: str, epochs: int, target: float, *, seed: int
) -> dict[str, float | None]:
    """What the peer did: its epochs, their seconds, its best validation AUC, and when it first had `target`."""
    command = [sys.executable, str(PEER), str(images), str(weights), precision]
    command += ["--epochs", str(epochs), "--auc", str(target), "--seed", str(seed)]
    done: list[dict[str, float]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            done.append(json.loads(line))
            tell(f"timm {precision}: epoch {done[-1]['epoch']}, {done[-1]['seconds']:.0f} s, AUC {done[-1]['auc']:.3f}")
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: see above")
    return {
        "seconds_to_equal_auc": next((epoch["seconds"] for epoch in done if epoch["auc"] >= target), None),
        "seconds": done[-1]["seconds"],
        "epochs": len(done),
        "best_auc": max(epoch["auc"] for epoch in done),
    }
