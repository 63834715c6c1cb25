from pathlib import Path

import pytest
import timm
import torch
from torch.nn.utils import parametrize

from tests.unit.models.folders import SMALL, random_model, timm_folder
from vitrail.basics.errors import InputError
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings
from vitrail.models.position_embedding import (
    FactorisedPositions,
    fold_position,
    folded_state,
    has_position_table,
    use_factorised_position,
)
from vitrail.models.ready import ReadyModel


def build(folder: Path | str, position: str, **settings) -> ReadyModel:
    return build_model(ModelSettings.parse(name=str(folder), position=position, **settings))


@pytest.fixture
def vit_folder(tmp_path: Path) -> Path:
    return timm_folder(tmp_path / "vit", random_model("vit_tiny_patch16_224", **SMALL), **SMALL)


@torch.inference_mode()
def test_a_factorised_table_joins_the_embedding_of_the_column_and_of_the_row() -> None:
    positions = FactorisedPositions(2, 3, prefix_tokens=1)
    columns = torch.tensor([[1.0], [2.0], [3.0]])
    rows = torch.tensor([[10.0, 100.0], [20.0, 200.0]])
    table = positions(columns, rows, torch.full((1, 1, 3), 7.0))
    expected = [[7, 7, 7], [1, 10, 100], [2, 10, 100], [3, 10, 100], [1, 20, 200], [2, 20, 200], [3, 20, 200]]
    assert table.tolist() == [expected]


@torch.inference_mode()
def test_its_start_is_the_average_of_the_learned_table_over_the_other_axis() -> None:
    positions = FactorisedPositions(2, 2, prefix_tokens=0)
    table = torch.tensor([[[1.0, 10.0], [3.0, 20.0], [5.0, 30.0], [7.0, 60.0]]])
    columns, rows = positions.right_inverse(table)
    assert columns.tolist() == [[3.0], [5.0]]
    assert rows.tolist() == [[15.0], [45.0]]


@torch.inference_mode()
def test_a_table_that_is_factorised_already_comes_back_as_it_was() -> None:
    positions = FactorisedPositions(3, 4, prefix_tokens=2)
    table = positions(torch.randn(4, 5), torch.randn(3, 5), torch.randn(1, 2, 10))
    torch.testing.assert_close(positions(*positions.right_inverse(table)), table)


@pytest.mark.parametrize(
    ("architecture", "arguments", "size"),
    [
        ("vit_tiny_patch16_224", SMALL, 48),
        ("vit_tiny_patch16_224", {**SMALL, "reg_tokens": 3}, 48),
        ("vit_tiny_patch16_224", {**SMALL, "no_embed_class": True}, 48),
        ("vit_tiny_patch16_224", {**SMALL, "class_token": False, "global_pool": "avg"}, 48),
        ("vit_tiny_patch16_224", {"img_size": (64, 32), "depth": 1, "dynamic_img_size": True}, 80),
        ("deit_tiny_distilled_patch16_224", SMALL, 48),
        ("vit_tiny_r_s16_p8_224", {"img_size": 64, "depth": 1}, 64),
    ],
)
def test_folding_leaves_an_ordinary_model_with_bit_equal_logits(architecture: str, arguments: dict, size: int) -> None:
    model = random_model(architecture, **arguments)
    use_factorised_position(model, from_table=True)
    x = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        before = model(x)
    state = folded_state(model)
    assert parametrize.is_parametrized(model), "reading the folded state does not touch the model"
    fold_position(model)
    assert not parametrize.is_parametrized(model)
    assert isinstance(model.pos_embed, torch.nn.Parameter)
    plain = timm.create_model(architecture, num_classes=7, **arguments).eval()
    plain.load_state_dict(state)
    with torch.inference_mode():
        assert torch.equal(model(x), before)
        assert torch.equal(plain(x), before)


def test_training_moves_rows_and_columns_and_the_table_stays_factorised(vit_folder: Path) -> None:
    model = build(vit_folder, "2d").model
    before = model.pos_embed.detach().clone()
    model(torch.randn(2, 3, 48, 48)).sum().backward()
    parts = dict(model.parametrizations["pos_embed"].named_parameters())
    assert [tuple(part.shape) for part in parts.values()] == [(3, 96), (3, 96), (1, 1, 192)]
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in parts.values())
    with torch.no_grad():
        for part in parts.values():
            part -= part.grad
    grid = model.pos_embed.detach()[0, 1:].reshape(3, 3, 192)
    assert not torch.equal(model.pos_embed, before)
    assert torch.equal(grid[0, :, :96], grid[2, :, :96]) and torch.equal(grid[:, 0, 96:], grid[:, 2, 96:])


def test_two_dimensional_positions_keep_the_class_token_of_the_weights(vit_folder: Path) -> None:
    built = build(vit_folder, "2d")
    learned = build(vit_folder, "weights").model.pos_embed
    assert torch.equal(built.model.pos_embed[:, :1], learned[:, :1])
    assert built.weights.resized == ("pos_embed",)
    assert built.weights.position_resampling == "averages per row and column"


def test_without_weights_rows_and_columns_start_as_wide_as_timms_table() -> None:
    torch.manual_seed(0)
    table = build("vit_base_patch16_224", "2d", pretrained=False, image_size=256).model.pos_embed
    assert table[:, 1:].std().item() == pytest.approx(0.02, rel=0.1)


def test_without_position_the_order_of_patches_does_not_matter(vit_folder: Path) -> None:
    model = build(vit_folder, "none").model
    x = torch.randn(1, 3, 48, 48)
    turned = torch.cat([x[..., 16:], x[..., :16]], dim=-1)
    with torch.inference_mode():
        torch.testing.assert_close(model(x), model(turned), rtol=1e-4, atol=1e-5)
        learned = build(vit_folder, "1d").model
        assert not torch.allclose(learned(x), learned(turned), rtol=1e-4, atol=1e-5)


def test_one_dimensional_positions_are_the_weights_own_table(vit_folder: Path) -> None:
    x = torch.randn(1, 3, 48, 48)
    with torch.inference_mode():
        assert torch.equal(build(vit_folder, "1d").model(x), build(vit_folder, "weights").model(x))


def test_relative_positions_take_everything_else_from_the_plain_vit(vit_folder: Path) -> None:
    built, plain = build(vit_folder, "relative"), build(vit_folder, "none").model
    assert built.architecture == "vit_relpos_base_patch16_224"
    assert built.weights.dropped == ("pos_embed",)
    assert all(name.endswith("relative_position_bias_table") for name in built.weights.initialised)
    assert len(built.weights.initialised) == SMALL["depth"]
    for name in built.weights.initialised:
        torch.nn.init.zeros_(built.model.get_parameter(name))
    x = torch.randn(2, 3, 48, 48)
    with torch.inference_mode():  # with empty tables it is the same network without any position
        torch.testing.assert_close(built.model(x), plain(x), rtol=1e-4, atol=1e-5)


def test_a_relative_vit_is_rebuilt_from_its_name_and_arguments(vit_folder: Path) -> None:
    built = build(vit_folder, "relative", pooling="avg", image_size=64)
    again = timm.create_model(built.architecture, **built.model_args)
    again.load_state_dict(built.model.state_dict())
    assert built.pretrained_cfg["mean"] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("swin_tiny_patch4_window7_224", "2d"),
        ("resnet18", "1d"),
        ("deit_tiny_distilled_patch16_224", "none"),
        ("deit_tiny_distilled_patch16_224", "relative"),
        ("vit_tiny_r_s16_p8_224", "relative"),
        ("convnext_atto", "relative"),
        ("vit_small_patch14_reg4_dinov2", "relative"),
    ],
)
def test_networks_that_cannot_take_a_position_embedding_say_so(name: str, position: str) -> None:
    with pytest.raises(InputError, match=r"cannot (take|be built with) (relative )?position.*\nhint: "):
        build(name, position, pretrained=False)


def test_relative_positions_with_padding_are_refused() -> None:
    with pytest.raises(InputError, match="relative positions need an image size that the patch divides"):
        build("vit_tiny_patch16_224", "relative", pretrained=False, image_size=50, pad=True)


def test_a_model_without_a_table_is_refused_and_folding_it_does_nothing() -> None:
    model = random_model("resnet18")
    assert not has_position_table(model)
    with pytest.raises(InputError, match="ResNet has no learned position table to make two-dimensional\nhint"):
        use_factorised_position(model, from_table=True)
    fold_position(model)
    assert folded_state(model).keys() == model.state_dict().keys()
