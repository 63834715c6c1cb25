"""Three names that torchvision's extractor gets wrong, without a word, and ours right.

Seen in torchvision 0.26 and 0.29.2. When a later version mends one, the test that says so fails, and can go.
"""

import pytest
import torch
from torchvision.models import VisionTransformer, resnet18
from torchvision.models.feature_extraction import create_feature_extractor as torchvisions

from vitrail.features import create_feature_extractor


@pytest.fixture
def vit() -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(32, 16, 2, 2, 32, 64, num_classes=3).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def seen_by_hooks(model: torch.nn.Module, nodes: list[str], x: torch.Tensor) -> dict[str, torch.Tensor]:
    found = {}
    for node in nodes:

        def keep(_module, _arguments, output, node=node) -> None:
            found[node] = output.clone()

        handle = model.get_submodule(node).register_forward_hook(keep)
        model(x)
        handle.remove()
    return found


@torch.no_grad()
def test_a_module_whose_name_ends_in_a_number_is_that_module(vit: VisionTransformer) -> None:
    first, second = (f"encoder.layers.encoder_layer_0.ln_{number}" for number in (1, 2))
    x = torch.randn(2, 3, 32, 32)
    expected = seen_by_hooks(vit, [first, second], x)
    assert torch.equal(torchvisions(vit, [first])(x)[first], expected[second])
    assert not torch.equal(expected[first], expected[second])
    for route in ("auto", "hooks", "graph"):
        found = create_feature_extractor(vit, [first, second], route=route)(x)
        assert all(torch.equal(found[node], expected[node]) for node in (first, second))


@torch.no_grad()
def test_a_node_inside_another_requested_node_does_not_change_either() -> None:
    model, x, nodes = resnet18(num_classes=3).eval(), torch.randn(2, 3, 64, 64), ["layer4", "layer4.1"]
    for module in model.modules():  # in place, the wrong tensor would become the right one afterwards
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    expected = seen_by_hooks(model, nodes, x)
    theirs = torchvisions(model, nodes)(x)
    assert not torch.equal(theirs["layer4.1"], expected["layer4.1"])
    for route in ("auto", "hooks", "graph"):
        for order in (nodes, nodes[::-1]):
            found = create_feature_extractor(model, order, route=route)(x)
            assert list(found) == order
            assert all(torch.equal(found[node], expected[node]) for node in nodes)


@torch.no_grad()
def test_every_requested_name_is_answered(vit: VisionTransformer) -> None:
    x, nodes = torch.randn(2, 3, 32, 32), ["encoder", "encoder.ln"]
    assert list(torchvisions(vit, nodes)(x)) == ["encoder"]
    for route in ("auto", "hooks", "graph"):
        assert list(create_feature_extractor(vit, nodes, route=route)(x)) == nodes


@torch.no_grad()
def test_a_layer_that_works_in_place_does_not_change_what_was_taken_before_it() -> None:
    model, x, nodes = resnet18(num_classes=3).eval(), torch.randn(2, 3, 64, 64), ["bn1", "layer1"]
    expected = seen_by_hooks(model, nodes, x)
    assert not torch.equal(torchvisions(model, nodes)(x)["bn1"], expected["bn1"])
    for route in ("auto", "hooks", "graph"):
        assert torch.equal(create_feature_extractor(model, nodes, route=route)(x)["bn1"], expected["bn1"])
