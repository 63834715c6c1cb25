"""A stranger with a folder of images: from the command to a packaged classifier, on real images."""

import json
import subprocess
import sys

import numpy as np
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image

import vitrail as library
from vitrail.prediction.answers import gathered_answers


@pytest.fixture(scope="module")
def ants(real_data, tmp_path_factory):
    """The finished run on hymenoptera, made as a user makes it, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "ants"
    done = subprocess.run(
        [
            sys.executable, "-m", "vitrail", "fit", real_data / "hymenoptera",
            "--model", f"local-dir:{real_data / 'vit_tiny_in1k'}", "--preset", "quick", "--out", out,
        ],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out, done


@pytest.fixture(scope="module")
def report(ants):
    sections = json.loads((ants[0] / "report.json").read_text())["sections"]
    return {name: section["figures"] for name, section in sections.items()}


def test_the_probe_is_right_on_at_least_95_percent_and_the_odd_gif_is_named(ants, report):
    out, done = ants
    assert report["quality"]["splits"]["val"]["accuracy"]["value"] >= 0.95
    assert report["quality"]["splits"]["val"]["n"] == 153
    assert "imageNotFound.gif" in done.stderr
    assert any("imageNotFound.gif" in line for finding in report["findings"]["findings"] for line in finding["details"])
    assert f"vitrail predict {out / 'package'}" in done.stdout
    assert not (out / "work").exists()


def test_predict_agrees_with_the_report(ants, report, real_data, vitrail):
    ended = vitrail("predict", ants[0] / "package", real_data / "hymenoptera" / "val", "--json")
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert list(lines[0]) == ["path", "label", "probability", "probabilities", "id", "likeness", "unlike"]
    assert sum(line["unlike"] for line in lines) <= len(lines) / 20  # these very images say what is usual
    right = [line["path"].split("/")[-2] == line["label"] for line in lines]
    assert np.mean(right) == report["quality"]["splits"]["val"]["accuracy"]["value"]
    assert all(sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5) for line in lines)
    by_path = {line["path"]: line for line in lines}
    for wrong in report["most_wrong"]["images"]:
        (found,) = [line for path, line in by_path.items() if path.endswith(f"/{wrong['path']}")]
        assert found["label"] == wrong["predicted"]
        assert found["probability"] == pytest.approx(wrong["probability"], abs=1e-4)


def test_the_package_knows_its_training_images_and_no_others(ants, real_data):
    train, held_out = (
        library.check(real_data / "hymenoptera" / split, against=ants[0], workers=0) for split in ("train", "val")
    )
    (known,), (unknown,) = (
        [finding for finding in found.findings if finding.code.endswith("trained-on-by-package")]
        for found in (train, held_out)
    )
    assert known.title.startswith("245 of 245 images are among the 245 training images of the package")
    assert unknown.title == "none of 153 images is among the 245 training images of the package"


def test_the_python_words_are_those_of_the_command(ants, real_data):
    predictor = library.load(ants[0] / "package")
    path = str(sorted((real_data / "hymenoptera" / "val" / "bees").iterdir())[0])
    from_path, from_picture, from_array = (
        predictor.predict(each)[0] for each in (path, Image.open(path), np.asarray(Image.open(path).convert("RGB")))
    )
    assert from_path.path == path
    assert from_path.probabilities == from_picture.probabilities == from_array.probabilities
    assert predictor.classes == ["ants", "bees"]


def test_answers_of_photographs_belong_to_their_ids_with_a_damaged_file_in_their_midst(ants, real_data, tmp_path):
    shown = sorted((real_data / "hymenoptera" / "val" / "bees").iterdir())[:9]
    for path in shown:
        (tmp_path / path.name).write_bytes(path.read_bytes()[: 9000 if path == shown[4] else None])
    predictor = library.load(ants[0] / "package").prepare(shown[:2])
    streamed = list(predictor.answers(tmp_path, batch_size=4, workers=1))
    assert [len(part) for part in streamed] == [4, 4, 1]
    answers = gathered_answers(streamed)
    assert list(answers.faults) == [4] and "truncated" in answers.faults[4]
    judged = pq.read_table(ants[0] / "answers.parquet").to_pydict()
    known = [each for each in answers.ids if each in judged["id"]]
    joined, rows = answers.of(known), [judged["id"].index(each) for each in known]
    assert len(known) == len(shown) - 1, "all but the damaged one, whose content is another"
    for number, label in enumerate(answers.classes):
        said = np.array(judged[f"p_{label}"])[rows]
        np.testing.assert_allclose(joined.probabilities[:, number], said, rtol=1e-4, atol=1e-5)
    sent = predictor.predict([path.read_bytes() for path in shown if path != shown[4]])
    assert [(each.id, each.label) for each in sent] == [(each.id, each.label) for each in joined]


def test_timm_reads_the_package_with_bit_equal_logits_and_the_same_pixels(ants, real_data):
    predictor = library.load(ants[0] / "package")
    model = timm.create_model(f"local-dir:{ants[0] / 'package'}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    paths = sorted((real_data / "hymenoptera" / "val" / "ants").iterdir())[:16]
    theirs = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])
    ours = np.stack([predictor.preprocessing.pixels(Image.open(path).convert("RGB")) for path in paths])
    scaled = (torch.from_numpy(ours).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    assert (scaled - theirs).abs().max() * 0.5 <= 1 / 255
    with torch.inference_mode():
        assert torch.equal(model(theirs), predictor.model(theirs))
    assert np.array_equal(predictor.answers_of(ours).logits, model(scaled).detach().numpy())


def test_the_official_split_of_covid_ct_is_judged_once_with_intervals(real_data, tmp_path):
    weights = f"local-dir:{real_data / 'vit_tiny_in1k'}"
    result = library.fit(real_data / "covid_ct", model=weights, out=tmp_path / "covid", preset="quick", image_size=160)
    test = result.quality["test"]
    assert test.n == 203
    assert 0.68 < test.accuracy.value < 0.82
    assert 0.77 < test.auc.value < 0.88
    assert test.accuracy.low < test.accuracy.value < test.accuracy.high
    assert test.auc.low < test.auc.value < test.auc.high
    sections = json.loads((tmp_path / "covid" / "report.json").read_text())["sections"]
    assert "telltale-property" in {finding["code"] for finding in sections["findings"]["figures"]["findings"]}


def test_a_table_with_patients_keeps_each_on_one_side_and_draws_intervals_from_patients(real_data, tmp_path):
    labels = csv.read_csv(real_data / "ham10000" / "labels.csv").slice(0, 300)
    frame = labels.select(["path", "dx", "sex"]).to_pandas()
    frame = frame[frame["dx"].isin(["nv", "mel"])].rename(columns={"dx": "label"})
    frame["group"] = [f"HAM_{number // 2}" for number in range(len(frame))]  # every lesion is there once: two a patient
    frame["path"] = [str(real_data / "ham10000" / path) for path in frame["path"]]
    weights = f"local-dir:{real_data / 'vit_tiny_in1k'}"
    result = library.fit(frame, model=weights, out=tmp_path / "skin", image_size=64, thumbnails=False)
    split = pq.read_table(result.run / "splits.parquet").to_pandas()
    assert split.groupby("group")["split"].nunique().max() == 1
    assert result.quality["val"].classes == ("mel", "nv")
    val = result.quality["val"]
    assert val.accuracy.n == val.n
    assert val.groups == split[split["split"] == "val"]["group"].nunique() < val.n
    assert val.accuracy.method == "cluster bootstrap"
    package = json.loads((result.package / "vitrail.json").read_text())
    assert "HAM_" not in json.dumps(package) + (result.package / "README.md").read_text()
    assert str(real_data) not in json.dumps(package) + (result.package / "README.md").read_text()
