from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from tests.unit.models.folders import random_model
from vitrail.basics.errors import InputError
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings
from vitrail.models.ready import ReadyModel


def flax_arrays(model: nn.Module, prefix: str = "") -> dict[str, np.ndarray]:
    """The model in the layout of google-research/vision_transformer, written from that repository's names."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    heads = model.blocks[0].attn.num_heads
    width = model.embed_dim

    def norm(ours: str, theirs: str) -> dict[str, np.ndarray]:
        return {f"{theirs}/scale": state[f"{ours}.weight"], f"{theirs}/bias": state[f"{ours}.bias"]}

    def dense(ours: str, theirs: str) -> dict[str, np.ndarray]:
        return {f"{theirs}/kernel": state[f"{ours}.weight"].T, f"{theirs}/bias": state[f"{ours}.bias"]}

    arrays = {
        "cls": state["cls_token"],
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "pre_logits/kernel": np.zeros((width, width), np.float32),
        "pre_logits/bias": np.zeros(width, np.float32),
        **norm("norm", "Transformer/encoder_norm"),
        **dense("head", "head"),
    }
    for index in range(len(model.blocks)):
        ours, theirs = f"blocks.{index}", f"Transformer/encoderblock_{index}"
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        for place, part in enumerate(("query", "key", "value")):
            weight = state[f"{ours}.attn.qkv.weight"].reshape(3, heads, width // heads, width)[place]
            arrays[f"{attention}/{part}/kernel"] = weight.transpose(2, 0, 1)
            arrays[f"{attention}/{part}/bias"] = state[f"{ours}.attn.qkv.bias"].reshape(3, heads, -1)[place]
        projection = state[f"{ours}.attn.proj.weight"].T.reshape(heads, width // heads, width)
        arrays[f"{attention}/out/kernel"] = projection
        arrays[f"{attention}/out/bias"] = state[f"{ours}.attn.proj.bias"]
        arrays |= norm(f"{ours}.norm1", f"{theirs}/LayerNorm_0") | norm(f"{ours}.norm2", f"{theirs}/LayerNorm_2")
        arrays |= dense(f"{ours}.mlp.fc1", f"{theirs}/MlpBlock_3/Dense_0")
        arrays |= dense(f"{ours}.mlp.fc2", f"{theirs}/MlpBlock_3/Dense_1")
    return {f"{prefix}{name}": array for name, array in arrays.items()}


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    return random_model("vit_tiny_patch16_224", classes=6)


@pytest.fixture
def archive(tmp_path: Path, vit: nn.Module) -> Path:
    np.savez(tmp_path / "Ti_16.npz", **flax_arrays(vit))
    return tmp_path / "Ti_16.npz"


def build(path: Path, *, num_classes: int | None = 6, **settings) -> ReadyModel:
    chosen = ModelSettings.parse(name=str(path), architecture="vit_tiny_patch16_224", **settings)
    return build_model(chosen, num_classes=num_classes)


@pytest.mark.parametrize("prefix", ["", "opt/target/", "params/"])
def test_googles_layout_gives_the_same_logits_back(tmp_path: Path, vit: nn.Module, prefix: str) -> None:
    arrays = flax_arrays(vit, prefix)
    if prefix == "params/":  # big_vision's names
        arrays = {
            name.replace("posembed_input/", "").replace("Transformer/pos_embedding", "pos_embedding")
            .replace("Attention_1", "Attention_0").replace("MlpBlock_3", "MlpBlock_0")
            .replace("LayerNorm_2", "LayerNorm_1"): array
            for name, array in arrays.items()
        }  # fmt: skip
    np.savez(tmp_path / "w.npz", **arrays)
    built = build(tmp_path / "w.npz")
    x = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(built.model(x), vit(x))
    assert built.weights.source == "w.npz"
    assert built.weights.used == len(vit.state_dict())
    assert built.weights.initialised == built.weights.resized == ()
    assert built.weights.dropped == (f"{prefix}pre_logits/bias", f"{prefix}pre_logits/kernel")


def test_another_class_count_drops_the_head_of_the_archive(archive: Path, vit: nn.Module) -> None:
    built = build(archive, num_classes=2)
    assert {"head.weight", "head.bias"} <= set(built.weights.dropped)
    assert built.weights.initialised == ("head.bias", "head.weight")
    assert torch.equal(built.model.blocks[3].attn.qkv.weight, vit.blocks[3].attn.qkv.weight)


def test_the_position_table_is_resampled_bilinearly_to_another_size(archive: Path, vit: nn.Module) -> None:
    built = build(archive, image_size=(256, 192))
    assert built.weights.resized == ("pos_embed",)
    assert built.weights.position_resampling == "bilinear interpolation"
    grid = vit.pos_embed.detach()[:, 1:].reshape(1, 14, 14, -1).permute(0, 3, 1, 2)
    expected = nn.functional.interpolate(grid, size=(16, 12), mode="bilinear").permute(0, 2, 3, 1).reshape(1, 192, -1)
    torch.testing.assert_close(built.model.pos_embed[:, 1:], expected)


@pytest.mark.parametrize("position", ["none", "2d", "relative"])
def test_the_archive_serves_every_position_embedding(archive: Path, vit: nn.Module, position: str) -> None:
    built = build(archive, position=position)
    assert torch.equal(built.model.blocks[0].attn.qkv.weight, vit.blocks[0].attn.qkv.weight)
    assert ("pos_embed" in built.weights.dropped) == (position != "2d")
    assert not any(name.startswith("blocks.0.mlp") for name in built.weights.initialised)


def test_attention_pooling_that_the_archive_lacks_starts_anew(archive: Path) -> None:
    built = build(archive, pooling="map")
    assert built.weights.initialised
    assert all(name.startswith("attn_pool.") for name in built.weights.initialised)


def test_the_hybrid_reads_googles_layout_too(tmp_path: Path) -> None:
    hybrid = random_model("vit_tiny_r_s16_p8_224", classes=6, depth=12)
    state = {name: tensor.numpy() for name, tensor in hybrid.state_dict().items()}
    arrays = flax_arrays(hybrid) | {
        "conv_root/kernel": state["patch_embed.backbone.conv.weight"].transpose(2, 3, 1, 0),
        "gn_root/scale": state["patch_embed.backbone.norm.weight"],
        "gn_root/bias": state["patch_embed.backbone.norm.bias"],
    }
    np.savez(tmp_path / "hybrid.npz", **arrays)
    settings = ModelSettings(name=str(tmp_path / "hybrid.npz"), architecture="vit_tiny_r_s16_p8_224")
    built = build_model(settings, num_classes=6)
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(built.model(x), hybrid(x))


def test_what_the_archive_does_not_hold_is_not_said_to_be_loaded(tmp_path: Path) -> None:
    scaled = random_model("deit3_small_patch16_224", classes=6)
    np.savez(tmp_path / "w.npz", **flax_arrays(scaled))
    built = build_model(ModelSettings(name=str(tmp_path / "w.npz"), architecture="deit3_small_patch16_224"))
    blocks = len(scaled.blocks)
    assert (
        len([name for name in built.weights.initialised if name.endswith((".ls1.gamma", ".ls2.gamma"))]) == 2 * blocks
    )
    assert torch.equal(built.model.blocks[0].ls1.gamma, torch.full((384,), 1e-6))


def test_an_archive_of_another_network_is_refused(tmp_path: Path, archive: Path) -> None:
    for architecture, text in [
        ("vit_small_patch16_224", "this archive does not fit vit_small_patch16_224"),
        ("resnet18", "resnet18 does not read Google's .npz archives"),
    ]:
        with pytest.raises(InputError, match=text):
            build_model(ModelSettings(name=str(archive), architecture=architecture))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="no ViT in this archive: embedding/kernel is missing\nhint"):
        build(tmp_path / "other.npz")


def test_a_damaged_archive_and_one_with_objects_are_refused_and_nothing_is_run(tmp_path: Path, archive: Path) -> None:
    content = archive.read_bytes()
    for kept in (0, 10, len(content) // 2):
        (tmp_path / "cut.npz").write_bytes(content[:kept])
        with pytest.raises(InputError, match=r"cut\.npz: not a readable \.npz archive of arrays, nothing in it"):
            build(tmp_path / "cut.npz")
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    with pytest.raises(InputError, match=r"single\.npz: not a readable \.npz archive of arrays"):
        build(tmp_path / "single.npz")
    np.savez(tmp_path / "objects.npz", allow_pickle=True, a=np.array([Path("x")], dtype=object))
    with pytest.raises(InputError, match=r"not a readable \.npz archive of arrays"):
        build(tmp_path / "objects.npz")


def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path: Path, vit: nn.Module) -> None:
    arrays = flax_arrays(vit)
    arrays["Transformer/encoder_norm/bias"] = np.full(192, np.nan, np.float32)
    np.savez(tmp_path / "nan.npz", **arrays)
    with pytest.raises(InputError, match="Transformer/encoder_norm/bias holds NaN or infinity"):
        build(tmp_path / "nan.npz")


def test_timm_reads_what_this_test_writes(archive: Path, vit: nn.Module) -> None:
    """The oracle itself: timm's loader, without any of ours, takes the hand-made archive."""
    other = timm.create_model("vit_tiny_patch16_224", num_classes=6)
    other.load_pretrained(str(archive))
    assert all(torch.equal(tensor, vit.state_dict()[name]) for name, tensor in other.state_dict().items())
