import json

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from vitrail.basics.errors import PackageError, SystemFault
from vitrail.models.catalogue import build_model
from vitrail.models.heads import pooled_features
from vitrail.models.model_settings import ModelSettings
from vitrail.models.plain_vit import PlainVitSettings, plain_vit
from vitrail.models.pretrained_folder import write_pretrained


@pytest.fixture
def built():
    return plain_vit(PlainVitSettings(width=24, depth=2, heads=2, patch=8), sizes=(16,), classes=5, seed=0)


def written(folder, built, *, kept_in="float32"):
    write_pretrained(folder, built, card="# Weights\n", facts={"seed": 0}, kept_in=kept_in)
    return folder


def test_a_fit_starts_from_the_same_features_at_the_same_size(built, tmp_path):
    folder = written(tmp_path / "weights", built)
    again = build_model(ModelSettings(name=f"local-dir:{folder}"), num_classes=3)
    images = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(pooled_features(again.model, images), pooled_features(built.model, images))
        assert again.model(images).shape == (2, 3)
    assert again.preprocessing == built.preprocessing
    assert again.weights.initialised == ("head.bias", "head.weight")


def test_weights_of_half_the_space_are_used_in_float32(built, tmp_path):
    folder = written(tmp_path / "weights", built, kept_in="float16")
    kept = safetensors.torch.load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    model = build_model(ModelSettings(name=str(folder)), num_classes=3).model
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        if not name.startswith("head"):
            assert torch.equal(tensor, built.model.state_dict()[name].half().float())


def test_timm_reads_it_too(built, tmp_path):
    folder = written(tmp_path / "weights", built)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(model(images), pooled_features(built.model, images))


def test_the_classifier_is_left_out_and_the_model_is_not_touched(built, tmp_path):
    folder = written(tmp_path / "weights", built)
    assert not [name for name in safetensors.torch.load_file(folder / "model.safetensors") if name.startswith("head")]
    config = json.loads((folder / "config.json").read_text())
    assert (config["num_classes"], config["label_names"], config["pretrained_cfg"]["num_classes"]) == (0, [], 0)
    assert "num_classes" not in config["model_args"]  # Hugging Face's loader would hand it over twice
    assert built.model.num_classes == 5 and built.model.head.weight.shape == (5, 24)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_folder_that_was_altered_is_refused(name, built, tmp_path):
    folder = written(tmp_path / "weights", built)
    content = np.frombuffer((folder / name).read_bytes(), np.uint8).copy()
    content[-2] ^= 1
    (folder / name).write_bytes(content.tobytes())
    with pytest.raises(PackageError) as caught:
        build_model(ModelSettings(name=f"local-dir:{folder}"))
    assert str(caught.value) == (
        f"{folder}: {name} was changed after the package was made\n"
        "hint: take the package from where it was made again; nothing of it was used"
    )


def test_a_full_disk_leaves_no_folder(built, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SystemFault) as caught:
        written(tmp_path / "weights", built)
    assert "the disk is full" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
