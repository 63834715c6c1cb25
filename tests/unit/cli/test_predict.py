import csv
import io
import json
import os
import sys

import pytest
import torch
from typer.testing import CliRunner

from tests.conftest import picture
from tests.unit.models.test_package import contents
from vitrail.cli.main import app
from vitrail.data.identity import image_id
from vitrail.models.catalogue import build_model
from vitrail.models.heads import feature_width, set_linear_head
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import write_package


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages") / "numbers"
    torch.manual_seed(0)
    built = build_model(ModelSettings(name="test_vit", pretrained=False, image_size=32), num_classes=3)
    set_linear_head(built.model, torch.randn(3, feature_width(built.model)), torch.randn(3))
    write_package(folder, built, contents=contents(built.preprocessing, classes=("1", "10", "2")))
    return folder


def test_columns_of_classes_stand_in_the_order_in_which_people_count(package, tmp_path):
    picture(1).save(tmp_path / "a.png")
    done = CliRunner().invoke(app, ["predict", str(package), str(tmp_path / "a.png"), "--csv"])
    header, row = csv.reader(io.StringIO(done.stdout))
    assert header == ["path", "label", "probability", "1", "2", "10"]
    said = CliRunner().invoke(app, ["predict", str(package), str(tmp_path / "a.png"), "--json"])
    probabilities = json.loads(said.stdout)["probabilities"]
    assert json.loads(said.stdout)["id"] == image_id((tmp_path / "a.png").read_bytes())
    assert list(probabilities) == ["1", "10", "2"], "the package's own order"
    assert [float(each) for each in row[3:]] == [probabilities[name] for name in ("1", "2", "10")]


@pytest.mark.skipif(sys.platform != "linux", reason="only there may a file name be any bytes")
def test_a_file_name_that_is_not_utf_8_is_answered_in_every_format(package, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    picture(1).save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", name)
    said = {}
    for encoding, options in (("utf-8", ["--json"]), ("utf-8", ["--csv"]), ("utf-8", []), ("ascii", ["--json"])):
        done = CliRunner(charset=encoding).invoke(app, ["predict", str(package), str(tmp_path), *options])
        assert done.exit_code == 0 and not done.stderr, done.stderr
        said[encoding, *options] = done.stdout_bytes.decode(encoding)
    for encoding in ("utf-8", "ascii"):
        assert os.fsencode(json.loads(said[encoding, "--json"])["path"]) == name, "the very file can be opened again"
    assert list(csv.reader(io.StringIO(said["utf-8", "--csv"])))[1][0].endswith(r"/caf\xe9.png")
    assert r"/caf\xe9.png" in said["utf-8",]


def test_a_file_that_is_no_image_is_told_in_one_line(package, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    done = CliRunner().invoke(app, ["predict", str(package), str(tmp_path / "pipe.png")])
    assert (done.exit_code, done.stderr) == (1, f"error: {tmp_path}/pipe.png: is a named pipe, not a file\n")


def test_answers_from_several_views_say_so_and_differ(package, tmp_path):
    picture(1).save(tmp_path / "a.png")
    asked = ["predict", str(package), str(tmp_path / "a.png"), "--json"]
    plain, several, mirrored = (
        CliRunner().invoke(app, [*asked, *more]) for more in ([], ["--tta"], ["--tta", "--flips"])
    )
    assert "tta" not in json.loads(plain.stdout) and not plain.stderr
    told = json.loads(several.stdout)
    assert told["tta"] == "9 views: 5 crops, scales 0.8, 0.9, 1.1, 1.2"
    assert several.stderr == f"tta      {told['tta']}; 9 times the work\n"
    assert json.loads(mirrored.stdout)["tta"].endswith("each also mirrored")
    assert len({each.stdout.partition('"probability": ')[2] for each in (plain, several, mirrored)}) == 3
    refused = CliRunner().invoke(app, [*asked, "--flips"])
    assert str(refused.exception) == "--flips was given without --tta\nhint: add --tta"
