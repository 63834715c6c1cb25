"""Someone whose weights lie in a folder of the transformers library trains from them on real images."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

from tests.unit.models.folders import same_state
from vitrail.models.catalogue import ModelSettings, build_model
from vitrail.models.package import read_package


@pytest.fixture(scope="module")
def folder(real_data, tmp_path_factory) -> Path:
    """The real ViT-Tiny, written as the transformers library writes a ViT: by hand, without that library."""
    place = tmp_path_factory.mktemp("theirs") / "vit-tiny"
    place.mkdir()
    mine = safetensors.torch.load_file(real_data / "vit_tiny_in1k" / "model.safetensors")
    tensors = {
        "vit.embeddings.cls_token": mine["cls_token"],
        "vit.embeddings.position_embeddings": mine["pos_embed"],
        **renamed(mine, "patch_embed.proj", "vit.embeddings.patch_embeddings.projection"),
        **renamed(mine, "norm", "vit.layernorm"),
        **renamed(mine, "head", "classifier"),
    }
    for index in range(12):
        before, after = f"blocks.{index}.", f"vit.encoder.layer.{index}."
        for kind in ("weight", "bias"):
            parts = mine[f"{before}attn.qkv.{kind}"].chunk(3)
            for part, name in zip(parts, ("query", "key", "value"), strict=True):
                tensors[f"{after}attention.attention.{name}.{kind}"] = part.contiguous()
        for one, other in {
            "norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": "attention.output.dense",
            "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
        }.items():  # fmt: skip
            tensors |= renamed(mine, before + one, after + other)
    safetensors.torch.save_file(tensors, place / "model.safetensors")
    config = {
        "architectures": ["ViTForImageClassification"], "model_type": "vit", "hidden_size": 192,
        "num_attention_heads": 3, "intermediate_size": 768, "layer_norm_eps": 1e-6,
        "id2label": {number: f"class {number}" for number in range(1000)},
    }  # fmt: skip
    (place / "config.json").write_text(json.dumps(config))
    pictures = {
        "image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 248}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": 224, "width": 224}, "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    (place / "preprocessor_config.json").write_text(json.dumps(pictures))
    return place


def renamed(tensors: dict, before: str, after: str) -> dict[str, torch.Tensor]:
    return {f"{after}.{kind}": tensors[f"{before}.{kind}"] for kind in ("weight", "bias")}


@pytest.fixture(scope="module")
def few_images(real_data, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("images")
    for label in ("ants", "bees"):
        (place / label).mkdir()
        for image in sorted((real_data / "hymenoptera" / "train" / label).glob("*.jpg"))[:20]:
            shutil.copy(image, place / label)
    return place


def test_real_weights_of_transformers_are_timms_own_bit_for_bit(folder, real_data):
    built = build_model(ModelSettings(name=f"local-dir:{folder}"))
    timms = f"local-dir:{real_data / 'vit_tiny_in1k'}"
    assert same_state(built.model, timm.create_model(timms, pretrained=True))
    shown, timms_shown = built.preprocessing, build_model(ModelSettings(name=timms)).preprocessing
    assert shown.resized == timms_shown.resized == (248, 248)
    assert shown.model_copy(update={"crop_fraction": timms_shown.crop_fraction}) == timms_shown
    assert (built.architecture, built.norm_epsilon) == ("vit_tiny_patch16_224", None)


def test_a_fit_from_them_becomes_a_package_that_predicts(folder, few_images, tmp_path, vitrail):
    out = tmp_path / "run"
    ended = vitrail("fit", few_images, "--model", f"local-dir:{folder}", "--preset", "quick", "--out", out)
    assert ended.code == 0, ended.err
    ended = vitrail("predict", out / "package", few_images, "--json")
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in ended.out.splitlines()]
    right = [Path(line["path"]).parent.name == line["label"] for line in lines]
    assert len(right) == 40 and sum(right) >= 38
    assert "vit-tiny" in json.dumps(dict(read_package(out / "package").provenance))
