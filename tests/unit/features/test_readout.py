"""From requests to what a store is made of: one row per image, under the names that were typed."""

import pytest
import timm
import torch
from torch import nn

from tests.contracts.architectures import built
from vitrail.basics.errors import InputError
from vitrail.features.node_requests import NodeRequest, parse_nodes
from vitrail.features.readout import output_shapes, readout_of, without_patterns
from vitrail.models.heads import features_and_logits

SIZE = {"channels": 3, "height": 32, "width": 32}


@pytest.fixture
def vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_vit", img_size=32, depth=3, num_classes=3).eval()


def shapes(model: nn.Module, nodes: str, side: int = 32) -> list[tuple[int, ...]]:
    return output_shapes(model, parse_nodes(nodes), channels=3, height=side, width=side)


def refusal(model: nn.Module, nodes: str, side: int = 32) -> str:
    with pytest.raises(InputError) as error:
        shapes(model, nodes, side)
    return str(error.value)


def test_a_node_that_does_not_give_one_row_per_image_is_refused() -> None:
    assert refusal(built("swin"), "layers.0.blocks.0.attn", 64) == (
        "'layers.0.blocks.0.attn' gives a tensor of shape (18, 49, 96) for 2 images, one row per image was expected\n"
        "hint: choose a node around it; inside it windows or other parts of images are counted"
    )


def test_beside_the_pooled_features_every_name_still_means_what_was_typed(vit: nn.Module) -> None:
    assert shapes(vit, "pooled,blocks.1=cls,norm") == [(64,), (64,), (5, 64)]
    assert refusal(vit, "pooled,bloks.0").startswith("there is no node 'bloks.0': ")
    assert refusal(vit, "pooled,blocks.0.add") == (
        "'pooled' and the operation 'blocks.0.add' cannot be read in one pass\n"
        "hint: write two stores, or ask for a module"
    )


@torch.no_grad()
def test_pooled_features_and_logits_are_read_in_one_pass(vit: nn.Module) -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = readout_of(parse_nodes("head,pooled"))(vit)(x)
    features, logits = features_and_logits(vit, x)
    assert torch.equal(found[0], logits)
    assert torch.equal(found[1], features)


def test_a_node_of_a_pattern_that_is_also_asked_for_otherwise_is_refused(vit: nn.Module) -> None:
    assert without_patterns(parse_nodes("blocks.?=cls,pooled,blocks.1=cls"), vit, **SIZE) == (
        *(NodeRequest(f"blocks.{number}", "cls") for number in range(3)),
        NodeRequest("pooled"),
    )
    with pytest.raises(InputError) as error:
        without_patterns(parse_nodes("blocks.?=mean,blocks.1=cls"), vit, **SIZE)
    assert str(error.value) == (
        "'blocks.1' is asked for as mean and as cls, its name can stand for one output only\n"
        "hint: ask for blocks.1=tokens, which holds both, or write two stores"
    )


def test_a_pattern_leaves_out_modules_that_are_not_called(vit: nn.Module) -> None:
    found = [each.node for each in without_patterns(parse_nodes("blocks.0.attn.*=mean"), vit, **SIZE)]
    assert "blocks.0.attn.qkv" in found and "blocks.0.attn.attn_drop" not in found
