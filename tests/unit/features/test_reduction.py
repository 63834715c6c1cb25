"""What is kept of a layer, for every way in which models lay out tokens and maps."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from tests.contracts.architectures import built, images
from vitrail.basics.errors import InputError
from vitrail.features import create_feature_extractor

HALF = (64, 96)


def wide(name: str, **arguments) -> nn.Module:
    """A model for images that are not square."""
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=2, img_size=HALF, **arguments).eval()


@torch.no_grad()
@pytest.mark.parametrize(
    ("model", "node", "prefix"),
    [
        (lambda: wide("vit_tiny_patch16_224", depth=2), "blocks.0", 1),
        (lambda: wide("vit_tiny_patch16_224", depth=2, reg_tokens=4), "blocks.0", 5),
        (lambda: wide("deit_tiny_distilled_patch16_224", depth=2), "blocks.0", 2),
        (lambda: wide("vit_small_patch16_dinov3", depth=2), "blocks.0", 5),
        (lambda: wide("vit_tiny_patch16_224", depth=2), "patch_embed", 0),
    ],
    ids=["vit", "registers", "distilled", "dinov3", "before the class token"],
)
def test_tokens_before_the_patches_are_left_out_of_mean_and_map(model, node: str, prefix: int) -> None:
    network, x = model(), torch.randn(2, 3, *HALF)
    tokens = create_feature_extractor(network, [node], reduce="tokens")(x)[node]
    patches = tokens[:, prefix:]
    assert patches.shape[1] == 4 * 6
    mean = create_feature_extractor(network, [node], reduce="mean")(x)[node]
    assert torch.equal(mean, patches.mean(dim=1))
    grid = create_feature_extractor(network, [node], reduce="map")(x)[node]
    assert grid.shape == (2, tokens.shape[2], 4, 6)
    assert torch.equal(grid[:, :, 1, 2], patches[:, 8])
    if prefix:
        found = create_feature_extractor(network, [node], reduce="cls")(x)[node]
        assert torch.equal(found, tokens[:, 0])
        assert found.untyped_storage().nbytes() == found.nbytes, "the other tokens are not kept in memory"


@torch.no_grad()
def test_torchvisions_and_hugging_faces_vits_begin_with_the_class_token() -> None:
    for name, node in (("torchvision vit", "encoder.layers.encoder_layer_0"), ("hugging face vit", "vit.layers.0")):
        model, x = built(name), images(name)
        whole = create_feature_extractor(model, [node])(x)[node]
        assert torch.equal(create_feature_extractor(model, [node], reduce="cls")(x)[node], whole[:, 0])
        assert torch.equal(create_feature_extractor(model, [node], reduce="mean")(x)[node], whole[:, 1:].mean(1))
        assert create_feature_extractor(model, [node], reduce="map")(x)[node].shape == (2, 32, 4, 4)


@torch.no_grad()
def test_maps_come_with_channels_first_whatever_the_model_does() -> None:
    swin = wide("swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), window_size=(2, 3))
    x = torch.randn(2, 3, *HALF)
    nodes = ["patch_embed.proj", "layers.0", "layers.2"]
    raw = create_feature_extractor(swin, nodes)(x)
    assert raw["layers.0"].shape == (2, 16, 24, 96)
    maps = create_feature_extractor(swin, nodes, reduce="map")(x)
    assert torch.equal(maps["patch_embed.proj"], raw["patch_embed.proj"])
    assert torch.equal(maps["layers.0"], raw["layers.0"].permute(0, 3, 1, 2))
    means = create_feature_extractor(swin, nodes, reduce="mean")(x)
    assert torch.equal(means["layers.2"], raw["layers.2"].permute(0, 3, 1, 2).mean((2, 3)))
    resnet = torchvision.models.resnet18(num_classes=2).eval()
    assert create_feature_extractor(resnet, ["layer3"], reduce="mean")(x)["layer3"].shape == (2, 256)


@torch.no_grad()
def test_a_map_as_deep_as_it_is_wide_is_read_as_its_model_says() -> None:
    x = torch.randn(2, 3, 64, 64)
    small = {"img_size": 64, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}
    swin = timm.create_model("swin_tiny_patch4_window7_224", **small).eval()
    for model, node, places in ((swin, "layers.0", (1, 2)), (nn.Sequential(nn.Conv2d(3, 8, 8, stride=8)), "0", (2, 3))):
        whole = create_feature_extractor(model, [node])(x)[node]
        assert len(set(whole.shape[1:])) == 1
        found = create_feature_extractor(model, [node], reduce="mean")(x)[node]
        assert torch.equal(found, whole.permute(0, 3, 1, 2).mean((2, 3)) if places == (1, 2) else whole.mean(places))


@torch.no_grad()
def test_registers_of_a_hugging_face_model_are_no_patches() -> None:
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**sizes, num_register_tokens=3)).eval()
    x = torch.randn(2, 3, 64, 64)
    whole = create_feature_extractor(model, ["layernorm"])(x)["layernorm"]
    assert whole.shape == (2, 1 + 3 + 16, 16)
    found = create_feature_extractor(model, ["layernorm"], reduce="mean")(x)["layernorm"]
    assert torch.equal(found, whole[:, 4:].mean(1))


@torch.no_grad()
def test_tokens_of_a_model_of_several_scales_are_laid_out_like_the_image() -> None:
    pvt = timm.create_model("pvt_v2_b0", num_classes=2).eval()
    x = torch.randn(2, 3, *HALF)
    node = "stages.1.blocks.0.attn"
    tokens = create_feature_extractor(pvt, [node])(x)[node]
    grid = create_feature_extractor(pvt, [node], reduce="map")(x)[node]
    assert grid.shape == (2, 64, 8, 12)
    assert torch.equal(grid[:, :, 1, 0], tokens[:, 12])


@torch.no_grad()
def test_length_and_projection_come_last_and_follow_the_extractor() -> None:
    model, x = built("vit"), images("vit")
    matrix = torch.randn(192, 8, generator=torch.Generator().manual_seed(1))
    plain = create_feature_extractor(model, ["blocks.0"], reduce="mean")(x)["blocks.0"]
    unit = create_feature_extractor(model, ["blocks.0"], reduce="mean", normalize=True)(x)["blocks.0"]
    torch.testing.assert_close(unit, plain / plain.norm(dim=1, keepdim=True))
    extractor = create_feature_extractor(
        model, {"blocks.0": "a", "blocks.1": "b"}, reduce={"a": "mean", "b": "map"}, projection={"b": matrix}
    )
    found = extractor(x)
    assert torch.equal(found["a"], plain)
    whole = create_feature_extractor(model, ["blocks.1"], reduce="map")(x)["blocks.1"]
    torch.testing.assert_close(found["b"], torch.einsum("bdhw,dk->bkhw", whole, matrix))
    assert {buffer.dtype for buffer in extractor.double().projections.buffers()} == {torch.float64}
    assert extractor(x.double())["b"].dtype == torch.float64


@torch.no_grad()
def test_a_reduction_is_taken_at_once_so_that_in_place_layers_cannot_change_it() -> None:
    model, x = built("in place"), images("in place")
    whole = create_feature_extractor(model, ["norm1"])(x)["norm1"]
    found = create_feature_extractor(model, ["norm1", "norm2"], reduce="mean")(x)
    assert torch.equal(found["norm1"], whole.mean((2, 3)))


def message(model: nn.Module, node: str, x: torch.Tensor, **options) -> str:
    with pytest.raises(InputError) as error:
        create_feature_extractor(model, [node], **options).train(model.training)(x)
    assert not any(module._forward_hooks for module in model.modules())
    return str(error.value)


def test_what_a_layer_does_not_have_is_refused() -> None:
    other = "hint: choose another reduction or node, or leave the reduction out"
    vit, x = built("vit"), images("vit")
    assert message(vit, "patch_embed", x, reduce="cls") == (
        "'cls' cannot be taken of a tensor of shape (2, 16, 192): these are patches only, the class token joins them "
        f"later\n{other}"
    )
    assert message(vit, "head", x, reduce="map") == (
        "'map' cannot be taken of a tensor of shape (2, 3): tokens (B, T, D) or a map of four dimensions was expected\n"
        f"{other}"
    )
    swin, swin_x = built("swin"), images("swin")
    assert message(swin, "layers.0", swin_x, reduce="cls") == (
        f"'cls' cannot be taken of a tensor of shape (2, 16, 16, 96): tokens (B, T, D) were expected\n{other}"
    )
    assert message(swin, "layers.0.blocks.0.attn", swin_x, reduce="mean") == (
        "'mean' cannot be taken of a tensor of shape (18, 49, 96): one row for each of 2 images was expected\n" + other
    )
    pvt, pvt_x = built("pvt v2"), images("pvt v2")
    assert message(pvt, "stages.0.blocks.0.attn", pvt_x, reduce="cls") == (
        "'cls' cannot be taken of a tensor of shape (2, 256, 32): PyramidVisionTransformerV2 is not known to have a "
        f"class token\n{other}"
    )
    assert message(vit, "blocks.0", x, reduce="clss") == (
        "there is no reduction 'clss'; cls, mean, tokens, map are known\nhint: did you mean cls?"
    )
    assert message(vit, "blocks.0", x, reduce={"block": "cls"}) == (
        "reduce names 'block', which is not given back; blocks.0 are\nhint: name outputs, not nodes, where these differ"
    )
    assert message(vit, "blocks.0", x, projection=torch.zeros(5, 2)) == (
        "a projection of shape (5, 2) does not fit vectors of 192 values\nhint: give a matrix of shape (192, d)"
    )
    assert message(swin, "layers.0", swin_x, normalize=True) == (
        "a tensor of shape (2, 16, 16, 96) does not say which of its sides is the vector\n"
        "hint: add a reduction: 'mean' gives one vector per image, 'map' one per place"
    )


def test_a_model_that_does_not_say_which_tokens_are_patches_is_asked() -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), torch.randn(2, 5, 4)
    assert message(model, "0", x, reduce="mean") == (
        "'mean' needs to know how many tokens of Sequential are not patches, and nothing says it\n"
        "hint: set model.num_prefix_tokens, 0 where all tokens are patches"
    )
    model.num_prefix_tokens = 1
    found = create_feature_extractor(model, ["0"], reduce="mean")(x)["0"]
    assert torch.equal(found, model[0](x)[:, 1:].mean(1))


def test_the_class_token_of_a_model_of_ones_own_is_found_when_it_is_named_as_the_hint_says() -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), torch.randn(2, 5, 4)
    assert message(model, "0", x, reduce="cls") == (
        "'cls' cannot be taken of a tensor of shape (2, 5, 4): Sequential is not known to have a class token\n"
        "hint: where the first token is one, set model.cls_token (to its parameter) and model.num_prefix_tokens (1, or "
        "more where others follow before the patches)"
    )
    model.cls_token, model.num_prefix_tokens = nn.Parameter(torch.zeros(1, 1, 4)), 1
    found = create_feature_extractor(model, ["0"], reduce="cls")(x)["0"]
    assert torch.equal(found, model[0](x)[:, 0])


def test_a_refusal_names_the_reduction_that_was_asked_for() -> None:
    model, x = built("vit"), images("vit")
    assert message(model, "blocks.0.attn.q_norm", x, reduce="mean").startswith(
        "'mean' cannot be taken of a tensor of shape (2, 3, 17, 64): neither its middle nor its last two sides"
    )


def test_a_model_of_timm_that_does_not_count_its_class_token_is_asked_and_so_is_one_made_of_timms_blocks() -> None:
    pit = timm.create_model("pit_ti_224").eval()
    assert message(pit, "norm", torch.randn(1, 3, 224, 224), reduce="mean").startswith(
        "'mean' needs to know how many tokens of PoolingVisionTransformer are not patches, and nothing says it"
    )
    model = nn.Sequential(timm.models.vision_transformer.Block(8, 2))
    assert message(model, "0.norm1", torch.randn(2, 5, 8), reduce="mean").startswith(
        "'mean' needs to know how many tokens of Sequential are not patches, and nothing says it"
    )


def test_a_number_of_tokens_that_fits_no_image_is_refused() -> None:
    vit = wide("vit_tiny_patch16_224", depth=1, patch_drop_rate=0.5).train()
    text = message(vit, "blocks.0", torch.randn(2, 3, *HALF), reduce="mean")
    assert text.startswith(
        "'mean' cannot be taken of a tensor of shape (2, 13, 192): 24 patches, with or without 1 tokens before them, "
        "were expected"
    )
