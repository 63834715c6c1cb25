"""One promise for every family: the groups hold every parameter once, and run one by one they are the model."""

import itertools

import pytest
import timm
import torch
from torch import nn

from vitrail.basics.errors import InputError
from vitrail.models.layer_order import LayerOrder, layer_order
from vitrail.models.position_embedding import use_factorised_position

SMALL_VIT = {"img_size": 48, "depth": 3}
FAMILIES: dict[str, tuple[str, dict, int]] = {
    "vit": ("vit_tiny_patch16_224", SMALL_VIT, 48),
    "vit with registers": ("vit_tiny_patch16_224", {**SMALL_VIT, "reg_tokens": 2, "init_values": 0.1}, 48),
    "vit with a norm before and none behind": (
        "vit_tiny_patch16_224",
        {**SMALL_VIT, "pre_norm": True, "final_norm": False, "class_token": False, "global_pool": "avg"},
        48,
    ),
    "vit pooling by average": ("vit_tiny_patch16_224", {**SMALL_VIT, "global_pool": "avg"}, 48),
    "vit pooling by attention": ("vit_tiny_patch16_224", {**SMALL_VIT, "global_pool": "map"}, 48),
    "vit padded": ("vit_tiny_patch16_224", {**SMALL_VIT, "dynamic_img_size": True, "dynamic_img_pad": True}, 41),
    "vit with dropouts": (
        "vit_tiny_patch16_224",
        {**SMALL_VIT, "patch_drop_rate": 0.3, "pos_drop_rate": 0.1, "drop_rate": 0.1, "proj_drop_rate": 0.1},
        48,
    ),
    "vit with two-dimensional positions": ("vit_tiny_patch16_224", SMALL_VIT, 48),
    "distilled deit": ("deit_tiny_distilled_patch16_224", SMALL_VIT, 48),
    "hybrid": ("vit_tiny_r_s16_p8_224", {"img_size": 64, "depth": 3}, 64),
    "relative vit": ("vit_relpos_small_patch16_224", {**SMALL_VIT, "class_token": True}, 48),
    "swin": ("swin_tiny_patch4_window7_224", {"img_size": 64, "depths": (1, 2, 1, 1)}, 64),
    "pvt v2": ("pvt_v2_b0", {}, 64),
    "linear pvt v2": ("pvt_v2_b2_li", {"depths": (1, 2, 1, 1)}, 64),
    "convnext": ("convnext_atto", {"depths": (1, 2, 1, 1)}, 64),
    "convnext with a norm before its head": ("convnext_atto", {"depths": (1, 1, 1, 1), "head_norm_first": True}, 64),
    "resnet": ("resnet18", {}, 48),
    "resnet of bottlenecks with a deep stem": ("resnet26d", {}, 48),
}
UNWRITTEN = ("mixer_s32_224", "efficientnet_b0", "test_vit2")


def built(family: str, *, drop_path: float = 0.3) -> nn.Module:
    name, arguments, _ = FAMILIES[family]
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5, drop_path_rate=drop_path, **arguments)
    if family == "vit with two-dimensional positions":
        use_factorised_position(model, from_table=True)
    for parameter in model.parameters():  # zero-initialised parts would hide a wrong order
        nn.init.normal_(parameter, std=0.05)
    return model.eval()


def images(family: str) -> torch.Tensor:
    return torch.randn(3, 3, FAMILIES[family][2], FAMILIES[family][2], generator=torch.Generator().manual_seed(1))


def chained(order: LayerOrder, x: torch.Tensor) -> torch.Tensor:
    for index in range(len(order.groups)):
        x = order.run(x, index, index + 1)
        assert x.shape[0] == 3, "the state between groups begins with the batch"
    return x


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_parameter_is_in_exactly_one_group_and_no_group_is_empty(family: str) -> None:
    model = built(family)
    order = layer_order(model)
    named = [name for group in order.groups for name in group.parameters]
    assert sorted(named) == sorted(name for name, _ in model.named_parameters())
    assert all(group.parameters for group in order.groups)


def test_groups_are_called_stem_blocks_norm_and_head(family: str) -> None:
    names = list(layer_order(built(family)).names)
    assert names.pop(0) == "stem"
    assert names.pop() == "head"
    names = names[:-1] if names[-1] == "norm" else names
    assert names == [f"block {index}" for index in range(1, len(names) + 1)]


@torch.inference_mode()
def test_groups_run_one_by_one_are_the_models_forward_bit_for_bit(family: str) -> None:
    model, x = built(family), images(family)
    order = layer_order(model)
    assert order.can_run and order.why_not is None
    expected = model(x)
    assert torch.equal(chained(order, x), expected)
    assert torch.equal(order.run(x), expected)


@torch.inference_mode()
def test_what_a_group_is_said_to_give_is_that_modules_own_output(family: str) -> None:
    model, x = built(family), images(family)
    order, seen = layer_order(model), {}
    said = {name: place for place, group in enumerate(order.groups, start=1) for name in group.gives}
    for name in said:
        model.get_submodule(name).register_forward_hook(
            lambda _module, _arguments, output, name=name: seen.__setitem__(name, output.clone())
        )
    model(x)
    for name, place in said.items():
        assert torch.equal(order.run(x, 0, place), seen[name]), name
    assert len(said) > 2


def test_in_train_mode_the_chain_draws_the_same_random_numbers_and_gives_the_same_gradients(family: str) -> None:
    model, x = built(family).train(), images(family)
    order = layer_order(model)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    torch.manual_seed(7)
    expected = model(x)
    expected.square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
    torch.manual_seed(7)
    found = chained(order, x)
    assert torch.equal(found, expected)
    found.square().sum().backward()
    for name, parameter in model.named_parameters():
        if gradients[name] is None:
            assert parameter.grad is None, name
        else:
            torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-5, atol=1e-7, msg=name)


@torch.inference_mode()
def test_a_split_at_any_boundary_gives_the_same_scores(family: str) -> None:
    model, x = built(family), images(family)
    order = layer_order(model)
    expected = model(x)
    for boundary in order.names[1:]:
        state = order.run(x, "stem", boundary)
        assert torch.equal(order.run(state, boundary), expected), boundary


@torch.inference_mode()
def test_what_arrives_at_the_head_is_what_forward_head_takes(family: str) -> None:
    model, x = built(family), images(family)
    state = layer_order(model).run(x, "stem", "head")
    assert torch.equal(state, model.forward_features(x))
    assert torch.equal(model.forward_head(state), model(x))


@torch.inference_mode()
def test_later_parameters_do_not_reach_into_earlier_groups(family: str) -> None:
    model, x = built(family), images(family)
    order = layer_order(model)
    middle = order.names[len(order.names) // 2]
    before = order.run(x, "stem", middle)
    for group in order.groups[order.index(middle) :]:
        for name in group.parameters:
            model.get_parameter(name).add_(1.0)
    assert torch.equal(order.run(x, "stem", middle), before)
    assert not torch.equal(order.run(before, middle), torch.zeros(()))


def test_every_group_matters_to_the_scores(family: str) -> None:
    model, x = built(family, drop_path=0.0), images(family)
    order = layer_order(model)
    order.run(x).square().sum().backward()
    for group in order.groups:
        assert any(model.get_parameter(name).grad is not None for name in group.parameters), group.name


def test_with_gradient_checkpointing_the_chain_still_gives_the_models_gradients(family: str) -> None:
    model, x = built(family).train(), images(family)
    model.set_grad_checkpointing(True)
    order = layer_order(model)
    recorded = []
    for forward in (model, order.run):
        torch.manual_seed(3)
        model.zero_grad()
        forward(x).square().sum().backward()
        recorded.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.allclose(mine, own, rtol=1e-4, atol=1e-6) for own, mine in zip(*recorded, strict=True))


def test_biases_norms_positions_and_tokens_are_spared_from_weight_decay(family: str) -> None:
    model = built(family)
    spared = layer_order(model).no_weight_decay
    for name, parameter in model.named_parameters():
        is_table = any(word in name for word in ("pos_embed", "token", "relative_position_bias_table"))
        assert (name in spared) == (parameter.ndim <= 1 or is_table), name


@pytest.mark.parametrize("name", UNWRITTEN)
def test_a_family_that_is_not_written_out_is_grouped_and_says_why_it_cannot_run(name: str) -> None:
    model = timm.create_model(name, num_classes=4)
    order = layer_order(model)
    named = [parameter for group in order.groups for parameter in group.parameters]
    assert sorted(named) == sorted(parameter for parameter, _ in model.named_parameters())
    assert all(group.parameters for group in order.groups)
    assert order.names[0] == "stem" and order.names[-1] == "head"
    if not order.can_run:
        assert order.why_not == f"the running order of {type(model).__name__} is not written out"
        with pytest.raises(InputError, match="cannot be run in parts: the running order of"):
            order.run(torch.zeros(1, 3, 8, 8))


def test_groups_of_a_family_not_written_out_follow_the_depth() -> None:
    model = timm.create_model("efficientnet_b0", num_classes=4)
    places = {name: i for i, group in enumerate(layer_order(model).groups) for name in group.parameters}
    ordered = [places[f"blocks.{stage}.0.{'conv_dw' if stage == 0 else 'conv_pw'}.weight"] for stage in range(7)]
    assert all(earlier < later for earlier, later in itertools.pairwise(ordered))
    assert places["conv_stem.weight"] == 0
    assert places["classifier.weight"] == len(layer_order(model).groups) - 1


def test_a_subclass_that_may_run_otherwise_is_not_run_in_parts() -> None:
    class Other(timm.models.vision_transformer.VisionTransformer):
        def forward_features(self, x, **_):
            return super().forward_features(x) * 2

    order = layer_order(Other(img_size=32, depth=1, embed_dim=24, num_heads=2))
    assert not order.can_run and order.why_not == "the running order of Other is not written out"


def test_parameters_outside_the_known_order_are_reported_and_nothing_is_run() -> None:
    model = timm.create_model("resnet18", num_classes=2)
    model.extra = nn.Linear(2, 2)
    order = layer_order(model)
    assert not order.can_run
    assert order.why_not == "ResNet has parameters outside the known order: extra.bias, extra.weight"
    assert sum(len(group.parameters) for group in order.groups) == len(list(model.parameters()))


def test_blocks_that_share_one_position_network_are_grouped_but_not_run_in_parts() -> None:
    order = layer_order(timm.create_model("vit_srelpos_small_patch16_224", depth=2, num_classes=2))
    assert not order.can_run
    assert order.why_not == (
        "its blocks share one position network, whose dropout is drawn once for all of them in training"
    )


def test_a_model_that_is_not_timms_is_refused_with_a_hint() -> None:
    with pytest.raises(
        InputError, match=r"Linear does not say how its layers follow each other \(group_matcher\)\nhint"
    ):
        layer_order(nn.Linear(2, 2))


def test_a_misspelled_group_gets_the_nearest_names() -> None:
    order = layer_order(built("resnet"))
    with pytest.raises(InputError, match="there is no layer group 'blok 3'\nhint: did you mean block 3"):
        order.run(images("resnet"), "stem", "blok 3")
    with pytest.raises(InputError, match="layer group 11 does not exist, 0 to 10 were expected\nhint: the groups"):
        order.index(11)
    with pytest.raises(InputError, match="layer group 'stem' comes before 'head', a later one was expected"):
        order.run(images("resnet"), "head", "stem")


def test_running_from_a_group_to_itself_changes_nothing() -> None:
    x = images("resnet")
    assert layer_order(built("resnet")).run(x, "block 2", "block 2") is x


def test_a_model_without_classifier_has_a_head_without_parameters() -> None:
    order = layer_order(timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1))
    assert order.groups[-1].name == "head" and order.groups[-1].parameters == ()
