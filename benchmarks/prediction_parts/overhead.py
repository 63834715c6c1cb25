"""Microseconds that `answers_of` takes for 16 images beside the forward pass, which is replaced by its results here."""

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import vitrail
from benchmarks.figures import median_with_interval
from benchmarks.prediction_parts.packages import written_package
from vitrail.data.identity import image_id
from vitrail.models.inputs import Pixels

BATCH = 16
TURNS = 500


def overhead(repeats: int, smoke: bool) -> dict[str, Any]:
    """Medians: of the call, of the probabilities when they are asked for, and of the id of a file of 100 kB."""
    with tempfile.TemporaryDirectory() as folder, vitrail.load(written_package(Path(folder), "test_vit")) as predictor:
        shown = predictor.preprocessing
        pixels = np.zeros((BATCH, shown.height, shown.width, shown.channels), dtype=np.uint8)
        prepared = predictor.prepare()._prepared
        assert prepared is not None
        results = prepared.forward(Pixels(pixels))
        predictor._prepared = dataclasses.replace(prepared, forward=lambda _: results)
        content, rounds = np.random.default_rng(0).bytes(100_000), []
        for _ in range((3 if smoke else TURNS) * repeats):
            times = [time.perf_counter()]
            answers = predictor.answers_of(pixels)
            times.append(time.perf_counter())
            assert len(answers.probabilities) == BATCH
            times.append(time.perf_counter())
            image_id(content)
            times.append(time.perf_counter())
            rounds.append(np.diff(times) * 1e6)
    names = ("answers_of_beside_the_forward_pass", "probabilities", "id_of_100_kilobytes")
    return {
        f"{name}_microseconds": median_with_interval(each)
        for name, each in zip(names, zip(*rounds, strict=True), strict=True)
    }
