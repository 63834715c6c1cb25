import shutil

import numpy as np
import pytest
import safetensors.torch
import torch

from vitrail.basics.errors import PackageError
from vitrail.models import sources
from vitrail.models.catalogue import build_model
from vitrail.models.heads import pooled_features
from vitrail.models.model_settings import ModelSettings
from vitrail.models.seal import sealed_digests
from vitrail.models.sources import STARTER_FOLDER


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The starter folder of an installation that may be damaged."""
    folder = shutil.copytree(STARTER_FOLDER, tmp_path / "starter")
    monkeypatch.setattr(sources, "STARTER_FOLDER", folder)
    return folder


def refusal() -> str:
    with pytest.raises(PackageError) as caught:
        build_model(ModelSettings(name="starter"))
    return str(caught.value)


HINT = "install vitrail again (pip install --force-reinstall --no-deps), or name another --model"


@pytest.mark.parametrize("size", [32, 64, 96, 224])
def test_the_starter_takes_images_of_32_to_224_pixels(size):
    built = build_model(ModelSettings(name="starter", image_size=size), num_classes=3)
    with torch.inference_mode():
        features = pooled_features(built.model, torch.randn(2, 3, size, size))
    assert features.isfinite().all() and features.std() > 0
    assert (built.preprocessing.height, built.preprocessing.width) == (size, size)
    assert built.weights.initialised == ("head.bias", "head.weight")
    assert (built.weights.position_resampling is None) == (size == 64)


def test_the_starter_is_small_sealed_and_says_what_it_is():
    digests = sealed_digests(STARTER_FOLDER, required=("config.json", "model.safetensors"))
    assert set(digests) == {"README.md", "config.json", "metrics.jsonl", "model.safetensors", "pretraining.json"}
    assert (STARTER_FOLDER / "model.safetensors").stat().st_size <= 12e6
    kept = safetensors.torch.load_file(STARTER_FOLDER / "model.safetensors")
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    built = build_model(ModelSettings(name="starter"))
    assert built.weights.summary().startswith("starter/model.safetensors: ")
    assert built.pretrained_cfg["license"] == "apache-2.0"
    assert "What they are not" in (STARTER_FOLDER / "README.md").read_text()


def test_a_folder_called_starter_is_named_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starter").mkdir()
    assert build_model(ModelSettings(name="starter")).weights.used > 0
    with pytest.raises(Exception, match=r"starter is not a timm folder: config\.json is missing"):
        build_model(ModelSettings(name="./starter"))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "pretraining.json"])
def test_a_starter_that_was_altered_is_refused(name, copy):
    content = np.frombuffer((copy / name).read_bytes(), np.uint8).copy()
    content[-3] ^= 1
    (copy / name).write_bytes(content.tobytes())
    assert refusal() == (
        f"the starter weights of this installation are damaged: {copy}: {name} was changed after the package was made\n"
        f"hint: {HINT}"
    )


def test_a_starter_without_its_seal_is_refused(copy):
    (copy / "SHA256SUMS").unlink()
    assert refusal() == (
        f"the starter weights of this installation are damaged: {copy}: SHA256SUMS is missing; "
        f"a folder with config.json, model.safetensors, SHA256SUMS was expected\nhint: {HINT}"
    )
