"""Images of more than 8 bits: as good as their 8-bit twins, on one scale that the package keeps."""

import json

import numpy as np
import pytest
from PIL import Image

import vitrail as library

SMALL = {"model": "test_vit", "pretrained": False, "image_size": 32, "preset": "quick", "workers": 0, "seed": 1}


def pictures(label: int) -> list[np.ndarray]:
    """Structure that is the same in both classes, in lungs (below zero) or beside them: they differ in level only."""
    dice = np.random.default_rng(label)
    return [dice.normal(-850 if label else -600, 60, (24, 24)).clip(-1024, 3071) for _ in range(24)]


KINDS = {
    "8 bits": lambda values: ((values + 1024) * (255 / 1200)).clip(0, 255).astype(np.uint8),
    "int16": lambda values: values.round().astype(np.int16),
    "float32 with outliers": lambda values: with_outliers(values.astype(np.float32)),
    "float32 shares": lambda values: ((values + 1024) / 1200).astype(np.float32),
}


def with_outliers(values: np.ndarray) -> np.ndarray:
    values[0, 0], values[1, 1] = 1e9, np.nan
    return values


def saved(values: np.ndarray, path) -> None:
    """Signed 16 bits are written by hand: Pillow writes them as 32."""
    if values.dtype == np.int16:
        from tests.unit.data.test_tone import signed_tiff

        path.write_bytes(signed_tiff(values))
    else:
        Image.fromarray(values).save(path)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_that_differ_in_level_are_told_apart_at_every_depth(kind, tmp_path):
    for label, name in enumerate(("healthy", "emphysema")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, values in enumerate(pictures(label)):
            saved(KINDS[kind](values), tmp_path / "data" / name / f"{number:02d}.tif")
    result = library.fit(tmp_path / "data", out=tmp_path / "run", **SMALL)
    assert result.quality["val"].accuracy.value == 1.0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    told = [finding["code"] for finding in report["sections"]["findings"]["figures"]["findings"]]
    assert ("tone" in told) == (kind != "8 bits")
    assert ("values" in report["sections"]["model"]["figures"]["model"]) == (kind != "8 bits")
    predictor = library.load(result.package)
    assert predictor.preprocessing.tone.is_measured == (kind != "8 bits")
    answers = predictor.predict(tmp_path / "data")
    right = [answer.label == answer.path.split("/")[-2] for answer in answers]
    assert np.mean(right) > 0.97
