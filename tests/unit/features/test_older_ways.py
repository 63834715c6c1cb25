"""Each older way gives the extractor's tensor or refuses with the reason; `docs/older_ways.md` says the same."""

import pytest
import torch

from tests.contracts.architectures import ARCHITECTURES, built, images
from vitrail.basics.errors import InputError
from vitrail.features import create_feature_extractor
from vitrail.features.older_ways import hooked, layers_in_sequence, tail_replaced_by_identity

WAYS = {
    "identity": tail_replaced_by_identity,
    "sequence": layers_in_sequence,
    "hook": lambda model, node, _example: hooked(model, node),
}
MODULE_NODES = [
    (name, node)
    for name, architecture in ARCHITECTURES.items()
    for node in architecture.nodes
    if not node.endswith("_1") or node.endswith("ln_1")
]


@pytest.mark.parametrize("way", WAYS)
@torch.no_grad()
def test_each_way_gives_the_extractors_tensor_or_refuses(way: str) -> None:
    gave = 0
    for name in ARCHITECTURES:
        model, x, other = built(name), images(name), images(name, count=3, seed=2)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        for node in (node for architecture, node in MODULE_NODES if architecture == name):
            try:
                old = WAYS[way](model, node, x)
            except InputError as refusal:
                assert way != "hook" and "does not give that node" in refusal.message
            else:
                gave += 1
                expected = create_feature_extractor(model, [node], route="hooks")(other)[node]
                assert torch.equal(old.eval()(other), expected), (name, node)
        assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
        assert not any(m._forward_hooks or m._forward_pre_hooks or m.training for m in model.modules())
    assert gave >= {"identity": 2, "sequence": 8, "hook": len(MODULE_NODES)}[way]


def test_identity_replaces_the_classifier_and_cannot_undo_what_forward_does_between() -> None:
    model, x = built("torchvision resnet"), images("torchvision resnet")
    vit, vit_x = built("vit"), images("vit")
    assert tail_replaced_by_identity(vit, "fc_norm", vit_x)(vit_x).shape == (2, 192)
    with pytest.raises(InputError) as refusal:
        tail_replaced_by_identity(model, "layer4", x)
    assert str(refusal.value) == (
        "replacing what runs behind 'layer4' by nn.Identity does not give that node: it gives (2, 2048), the node has "
        "(2, 512, 2, 2); the forward between these modules still runs\n"
        "hint: create_feature_extractor gives it and computes nothing behind it"
    )


def test_a_vit_in_sequence_loses_class_token_and_positions_and_is_refused() -> None:
    vit, x = built("vit"), images("vit")
    with pytest.raises(InputError) as refusal:
        layers_in_sequence(vit, "blocks.1", x)
    assert str(refusal.value) == (
        "a sequence of the layers up to 'blocks.1' does not give that node: it gives (2, 16, 192), the node has "
        "(2, 17, 192); a sequence leaves out cls_token, pos_embed of VisionTransformer\n"
        "hint: create_feature_extractor gives it and computes nothing behind it"
    )


def test_layers_that_fail_on_what_they_get_are_refused_with_their_own_words() -> None:
    model, x = built("hugging face vit"), images("hugging face vit")
    with pytest.raises(InputError, match=r"replacing what runs behind 'vit\.layers\.0' by nn\.Identity does not give"):
        tail_replaced_by_identity(model, "vit.layers.0", x)


@pytest.mark.parametrize("way", [tail_replaced_by_identity, layers_in_sequence])
@pytest.mark.parametrize("node", ["layer1.0.relu_1", "layer1.0.relu#2", "layer1.?"])
def test_what_is_no_modules_name_is_refused(way, node: str) -> None:
    with pytest.raises(InputError) as refusal:
        way(built("torchvision resnet"), node, images("torchvision resnet"))
    assert str(refusal.value) == (
        f"{node!r} is not the name of a module, which this way needs\n"
        "hint: create_feature_extractor also takes later calls, parts and patterns"
    )


def test_a_resnet_in_sequence_is_its_own_beginning() -> None:
    model, x = built("torchvision resnet"), images("torchvision resnet")
    sequence = layers_in_sequence(model, "layer2", x)
    assert sequence[0] is model.conv1
    assert len(sequence) == 6


@torch.no_grad()
def test_a_hook_computes_the_whole_model() -> None:
    model, x = built("torchvision resnet"), images("torchvision resnet")
    ran: list[bool] = []
    model.fc.register_forward_hook(lambda *_: ran.append(True))
    hooked(model, "layer1")(x)
    assert ran


@pytest.mark.parametrize("way", WAYS)
def test_every_way_reads_whatever_mode_the_model_is_in_and_leaves_it_as_it_was(way: str) -> None:
    model, x = built("torchvision resnet").train(), images("torchvision resnet")
    model.layer1[0].bn1.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    node = "fc" if way == "identity" else "layer1"
    old = WAYS[way](model, node, x)
    torch.nn.ModuleList([old]).train()
    answer = old(x)
    assert not answer.requires_grad
    assert torch.equal(answer, create_feature_extractor(model, [node], route="hooks")(x)[node])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
