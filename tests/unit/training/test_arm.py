import json

import numpy as np
import pandas as pd
import pytest

import vitrail
from tests.conftest import picture


def test_test_images_are_answered_by_the_epoch_that_is_kept_and_not_by_the_probe(tmp_path):
    rows = []
    for number in range(40):
        label, split = "ab"[number % 2], "train" if number < 24 else "val" if number < 32 else "test"
        path = tmp_path / f"{number}.png"
        picture(number, size=(32, 32), hue=number % 2).save(path)
        rows.append({"path": str(path), "label": label, "split": split})
    result = vitrail.fit(
        pd.DataFrame(rows), model="test_vit", pretrained=False, image_size=32, workers=0, out=tmp_path / "run",
        stages="all", all_epochs=2, learning_rate=1e-3, in_doubt="trained", thumbnails=False,
    )  # fmt: skip
    report = json.loads((tmp_path / "run" / "report.json").read_text())["sections"]
    assert report["training"]["figures"]["chosen_epoch"] is not None, "the probe would say nothing here"
    answers = vitrail.load(result.package).predict([row["path"] for row in rows[32:]])
    said = [answer.probabilities[row["label"]] for answer, row in zip(answers, rows[32:], strict=True)]
    told = report["quality"]["figures"]["splits"]["test"]["log_loss"]["value"]
    assert told == pytest.approx(-np.log(said).mean(), abs=1e-4)
