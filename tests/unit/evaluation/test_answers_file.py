"""The held-out answers beside a report: whoever has them can compute every figure of it."""

import csv
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sklearn.metrics

import vitrail
from tests.unit.evaluation.realistic_report import image_rows, realistic_answers
from vitrail.basics.printable import from_spreadsheet_cell
from vitrail.evaluation import answers_file
from vitrail.evaluation.answers_file import answers_sentence, answers_table, write_answers
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.quality import judge


def test_scikit_learn_finds_the_figures_of_the_report_in_the_answers_beside_it(write_images, tmp_path):
    folder = write_images({"a": 24, "=b": 24, "c": 24})
    result = vitrail.fit(folder, model="test_vit", pretrained=False, image_size=32, workers=0, out=tmp_path / "run",
                thumbnails=False, test_fraction=0.3)  # fmt: skip
    answers = pd.read_parquet(tmp_path / "run" / "answers.parquet")
    quality = json.loads((tmp_path / "run" / "report.json").read_text())["sections"]["quality"]["figures"]
    package = json.loads((tmp_path / "run" / "package" / "vitrail.json").read_text())
    assert package["metrics"]["quality"] == {"version": 1, **quality}, "page, JSON and package say the same"
    for split, told in quality["splits"].items():
        part = answers[answers["split"] == split]
        probabilities = part[[f"p_{name}" for name in told["classes"]]].to_numpy()
        assert len(part) == told["n"] and (part["predicted"] == part["label"]).mean() == told["accuracy"]["value"]
        loss = sklearn.metrics.log_loss(part["label"], probabilities, labels=told["classes"])
        assert loss == pytest.approx(told["log_loss"]["value"], abs=1e-12)
        auc = sklearn.metrics.roc_auc_score(part["label"], probabilities, multi_class="ovr", labels=told["classes"])
        assert auc == pytest.approx(told["auc"]["value"], abs=1e-12)
        assert result.judged.images[split].ids == part["id"].tolist()
        assert np.array_equal(result.judged.images[split].probabilities, probabilities)
    assert "answers.csv and answers.parquet: What was answered" in result.report.read_text()
    checked = vitrail.check(folder, workers=0).table
    labels = dict(zip(checked["id"].to_pylist(), checked["label"].to_pylist(), strict=True))
    assert all(labels[row.id] == row.label for row in answers.itertuples())


def test_the_spreadsheet_says_the_same_and_computes_nothing(tmp_path):
    judged = realistic_answers(["=1+1", "plain"], n=12)
    table = pq.read_table(write_answers({"val": judged}, tmp_path)).to_pydict()
    with (tmp_path / "answers.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [from_spreadsheet_cell(line["label"]) for line in lines] == table["label"]
    assert {line["label"][0] for line in lines} == {"'", "p"}
    for name in ("p_=1+1", "p_plain"):
        assert [float(line[name]) for line in lines] == table[name], "to the last digit"


def test_patients_are_numbers_and_no_path_is_told():
    table = image_rows(["a", "b", "c"], ["/home/ann/x.png"] * 3, ["k", "k", "l"], group=["Ann B.", None, "Ann B."])
    logits = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    judged = JudgedImages.joined(table, ["a", "b", "c"], logits, classes=["k", "l"], measured_on="test")
    answers = answers_table({"test": judged})
    assert answers["group"].to_pylist() == [0, 1, 0] and answers["predicted"].to_pylist() == ["k", "k", "l"]
    assert "ann" not in json.dumps(answers.to_pydict()).lower()


def test_every_figure_and_interval_follows_from_the_answers_file_with_groups_too(tmp_path):
    for patients in (None, [f"patient {k // 3}" for k in range(60)]):
        first = realistic_answers(["a", "b", "c"], n=60, skill=1.0)
        table = image_rows(first.ids, first.paths, first.attribute("label").tolist(), group=patients)
        logits = np.log(first.probabilities)
        judged = JudgedImages.joined(table, first.ids, logits, classes=first.classes, measured_on="val")
        read = pq.read_table(write_answers({"val": judged}, tmp_path))
        again = image_rows(read["id"].to_pylist(), ["x"] * 60, read["label"].to_pylist())
        probabilities = np.stack([read[f"p_{name}"].to_numpy() for name in "abc"], axis=1)
        groups = None if patients is None else read["group"].to_numpy()
        copy = JudgedImages(again, probabilities, ("a", "b", "c"), "val", groups)
        assert judge(copy, seed=3).as_json() == judge(judged, seed=3).as_json()


def test_a_spreadsheet_that_nobody_could_open_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(answers_file, "MOST_CELLS", 50)
    write_answers({"val": realistic_answers(["x", "y"], n=12)}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["answers.parquet"]
    assert answers_sentence(tmp_path).startswith("answers.parquet: What was answered")


def test_whoever_reads_the_answers_learns_that_the_package_may_say_otherwise(tmp_path):
    """Fitting the starter to hymenoptera, cross-fitted probabilities differed from the package's by up to 0.06."""
    about = (
        pq.read_schema(write_answers({"val": realistic_answers(["x", "y"], n=9)}, tmp_path)).metadata[b"about"].decode()
    )
    assert "the package may answer these images a little otherwise" in about
    assert about in answers_sentence(tmp_path)
