import pytest
import timm
import torch
from timm.layers import DropPath
from timm.optim import param_groups_layer_decay
from torch import nn

from tests.unit.training.small_job import tiny_resnet, tiny_vit
from vitrail.models.chain import Chain
from vitrail.training.parameter_groups import fill_momentum, freeze_below, made_optimizer, parameter_groups, set_rates
from vitrail.training.settings import TrainingSettings

VIT = {"img_size": 32, "depth": 3}
SMALL_SWIN = {
    "img_size": 32, "window_size": 4, "depths": (1, 2, 1, 1), "embed_dim": 24, "num_heads": (1, 2, 2, 2),
}  # fmt: skip
NUMBERED_AS_BY_TIMM = {
    "relative vit": ("vit_relpos_small_patch16_224", {**VIT, "embed_dim": 96, "num_heads": 2}),
    "convnext": ("convnext_atto", {"depths": (1, 2, 1, 1), "dims": (8, 16, 24, 32)}),
    "resnet": ("resnet10t", {}),
    "efficientnet, not written out": ("test_efficientnet", {}),
}
NORM_OF_ITS_OWN = {
    "vit": ("vit_tiny_patch16_224", VIT),
    "distilled deit": ("deit_tiny_distilled_patch16_224", VIT),
    "hybrid": ("vit_tiny_r_s16_p8_224", VIT),
    "swin": ("swin_tiny_patch4_window7_224", SMALL_SWIN),
}
PVT = {"pvt v2": ("pvt_v2_b0", {"depths": (1, 2, 1, 1)})}
FAMILIES = {**NUMBERED_AS_BY_TIMM, **NORM_OF_ITS_OWN, **PVT}
DECAY = 0.5


def built(family: str, **changed) -> nn.Module:
    name, arguments = FAMILIES[family]
    return timm.create_model(name, num_classes=3, **{**arguments, **changed})


def by_name(groups, model, key):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: group[key] for group in groups for parameter in group["params"]}


def ours_and_timms(family, ours, theirs):
    model = built(family)
    mine = by_name(parameter_groups(Chain(model), TrainingSettings(layer_decay=DECAY, weight_decay=0.05)), model, ours)
    spared = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    groups = param_groups_layer_decay(model, weight_decay=0.05, layer_decay=DECAY, no_weight_decay_list=spared)
    return mine, by_name(groups, model, theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_in_exactly_one_group(family):
    model = built(family)
    groups = parameter_groups(Chain(model), TrainingSettings(layer_decay=DECAY, weight_decay=0.05))
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters())
    named = dict(model.named_parameters())
    for group in groups:
        assert [id(named[name]) for name in group["names"]] == [id(parameter) for parameter in group["params"]]


@pytest.mark.parametrize("family", NUMBERED_AS_BY_TIMM)
def test_layer_decay_is_that_of_timm(family):
    ours, theirs = ours_and_timms(family, "rate_scale", "lr_scale")
    assert ours == theirs


@pytest.mark.parametrize("family", NORM_OF_ITS_OWN)
def test_where_the_last_norm_is_a_layer_of_its_own_all_before_it_are_one_step_farther_than_for_timm(family):
    ours, theirs = ours_and_timms(family, "rate_scale", "lr_scale")
    ends = {name for name in ours if name.startswith(("norm.", "head", "fc_norm."))}
    assert len(ends) >= 4
    assert {name: ours[name] for name in ends} == {name: theirs[name] for name in ends}
    assert all(ours[name] == DECAY * theirs[name] for name in ours.keys() - ends)


def test_pvt_keeps_the_order_of_timm_and_numbers_every_block():
    ours, theirs = ours_and_timms("pvt v2", "rate_scale", "lr_scale")
    later = [(one, other) for one in theirs for other in theirs if theirs[one] < theirs[other]]
    assert all(ours[one] <= ours[other] for one, other in later)
    blocks = [ours[f"stages.{stage}.blocks.{block}.norm1.weight"] for stage, block in
              [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]]  # fmt: skip
    assert blocks == [DECAY**5, DECAY**4, DECAY**3, DECAY**2, DECAY**1]
    assert (ours["patch_embed.proj.weight"], ours["head.weight"]) == (DECAY**6, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_weight_decay_spares_what_timm_spares_and_all_positions_and_tokens(family):
    ours, theirs = ours_and_timms(family, "weight_decay", "weight_decay")
    different = {name for name, value in ours.items() if value != theirs[name]}
    assert all(name.rpartition(".")[2] in ("pos_embed", "cls_token", "dist_token") for name in different), different
    assert set(ours.values()) == {0.0, 0.05}


def test_scales_of_a_vit_are_those_worked_out_by_hand():
    groups = parameter_groups(Chain(tiny_vit()), TrainingSettings(layer_decay=0.75, weight_decay=0.01))
    told = {group["layer"]: group["rate_scale"] for group in groups}
    distances = {"stem": 5, "block 1": 4, "block 2": 3, "block 3": 2, "norm": 1, "head": 0}
    assert told == {layer: 0.75**distance for layer, distance in distances.items()}


def test_rates_are_peak_times_schedule_times_scale():
    optimizer = made_optimizer(Chain(tiny_vit()), TrainingSettings(layer_decay=0.5))
    assert {group["lr"] for group in optimizer.param_groups} == {0.0}
    set_rates(optimizer, 0.01, 0.25)
    told = {group["layer"]: group["lr"] for group in optimizer.param_groups}
    assert told["head"] == 0.0025 and told["norm"] == 0.00125 and told["block 3"] == pytest.approx(0.000625)


def test_the_momentum_of_sgd_begins_at_zero_for_every_parameter():
    model = tiny_vit()
    optimizer = made_optimizer(Chain(model), TrainingSettings(optimizer="sgd"))
    assert all(not optimizer.state[parameter]["momentum_buffer"].any() for parameter in model.parameters())
    kept = optimizer.state[model.head.weight]["momentum_buffer"].fill_(3.0)
    optimizer.state[model.head.bias].clear()
    fill_momentum(optimizer)
    assert optimizer.state[model.head.weight]["momentum_buffer"] is kept and kept.eq(3.0).all()
    assert not optimizer.state[model.head.bias]["momentum_buffer"].any()


def test_sgd_without_momentum_and_adamw_begin_without_state():
    for changed in ({"optimizer": "sgd", "momentum": 0.0}, {"optimizer": "adamw"}):
        optimizer = made_optimizer(Chain(tiny_vit()), TrainingSettings.parse(**changed))
        assert not any(optimizer.state.values())
        fill_momentum(optimizer)
        assert not any(optimizer.state.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_from_every_place_on_exactly_what_stands_behind_it_is_trained(family):
    chain = Chain(built(family))
    for place in range(chain.logits + 1):
        freeze_below(chain, place)
        trained = {name for name, parameter in chain.model.named_parameters() if parameter.requires_grad}
        assert trained == {name for name, part in chain.parts.items() if part >= place}
        assert bool(trained) == (place <= chain.pooled)
        for path, module in chain.model.named_modules():
            own = [parameter.requires_grad for parameter in module.parameters()]
            assert module.training == any(own) or not own, path


def test_stochastic_depth_is_off_in_frozen_blocks_and_on_in_trained_ones():
    model = tiny_vit(drop_path=0.5)
    freeze_below(Chain(model), 2)
    modes = [
        [module.training for module in block.modules() if isinstance(module, DropPath)] for block in model.blocks
    ]  # fmt: skip
    assert modes == [[], [True, True], [True, True]], "the first block's probability is 0"
    freeze_below(Chain(model), 3)
    assert not any(module.training for module in model.blocks[1].modules())
    assert all(module.training for module in model.blocks[2].modules())


def test_dropout_is_off_in_what_is_frozen_and_on_in_what_is_trained():
    model = tiny_vit(pos_drop_rate=0.5, proj_drop_rate=0.5, attn_drop_rate=0.5)
    chain = Chain(model)
    freeze_below(chain, 2)
    dropouts = {path: module.training for path, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
    frozen = {path for path, on in dropouts.items() if not on}
    assert frozen == {path for path in dropouts if path == "pos_drop" or path.startswith("blocks.0.")}
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(chain.run(x, 0, 2), chain.run(x, 0, 2))
    assert not torch.equal(chain.run(x, 0, 3), chain.run(x, 0, 3))
    freeze_below(chain, 0)
    assert all(module.training for path, module in model.named_modules() if isinstance(module, torch.nn.Dropout))


def test_freezing_everything_puts_the_whole_model_into_evaluation_mode_and_back():
    chain = Chain(tiny_vit(drop_path=0.5))
    freeze_below(chain, chain.logits)
    assert not any(module.training for module in chain.model.modules())
    freeze_below(chain, 0)
    assert all(module.training for module in chain.model.modules())


def test_batch_norms_of_frozen_blocks_keep_their_statistics_and_those_of_trained_ones_move():
    model = tiny_resnet()
    chain = Chain(model)
    freeze_below(chain, 3)
    before = {name: value.clone() for name, value in model.named_buffers()}
    model(torch.randn(4, 3, 16, 16)).sum().backward()
    moved = {name.split(".")[0] for name, value in model.named_buffers() if not torch.equal(value, before[name])}
    assert moved == {"layer3", "layer4"}
    assert {id(buffer) for buffer in chain.moving_statistics()} == {
        id(buffer) for name, buffer in model.named_buffers() if name.split(".")[0] in moved
    }


def test_the_articles_multipliers_are_a_tenth_in_the_stem_and_half_in_the_first_two_blocks():
    chain = Chain(tiny_vit(depth=4))
    settings = TrainingSettings(slower_layers="stem-and-first-blocks", layer_decay=0.75)
    scales = {group["layer"]: group["rate_scale"] for group in parameter_groups(chain, settings)}
    assert scales == {
        "stem": 0.1, "block 1": 0.5, "block 2": 0.5, "block 3": 1.0, "block 4": 1.0, "norm": 1.0, "head": 1.0,
    }  # fmt: skip


def test_what_is_trained_beside_the_model_learns_at_the_rate_of_the_last_layer_and_vectors_do_not_decay():
    chain, beside = Chain(tiny_vit()), nn.ModuleDict({"projector": nn.Linear(24, 8), "average": nn.Linear(24, 8)})
    beside["average"].requires_grad_(False)
    optimizer = made_optimizer(chain, TrainingSettings(weight_decay=0.2), {"distillation": beside})
    own = [group for group in optimizer.param_groups if group["layer"] == "distillation"]
    assert [(group["names"], group["rate_scale"], group["weight_decay"]) for group in own] == [
        (["projector.weight"], 1.0, 0.2), (["projector.bias"], 1.0, 0.0),
    ]  # fmt: skip
