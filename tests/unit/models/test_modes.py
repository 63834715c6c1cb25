"""An extractor reads: it leaves the model's modes, statistics and gradients alone, unless it is told to train."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import timm
import torch
from torch import nn

from vitrail.basics.errors import InputError
from vitrail.features import create_feature_extractor
from vitrail.models.modes import in_modes, modes_of

ROUTES = ("hooks", "graph")


class Small(nn.Module):
    """A batch norm, a dropout, and a forward that differs between the modes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.end = nn.Identity()
        self.fail = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.drop(self.norm(self.conv(x))))


def small(seed: int = 0) -> Small:
    torch.manual_seed(seed)
    return Small()


def images(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def account(model: nn.Module) -> tuple:
    return (
        {name: module.training for name, module in model.named_modules()},
        {name: (p.requires_grad, p.grad is None) for name, p in model.named_parameters()},
        {name: len(module._forward_hooks) + len(module._forward_pre_hooks) for name, module in model.named_modules()},
        {name: tensor.tolist() for name, tensor in model.state_dict().items()},
    )


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("mode", [True, False])
def test_reading_a_model_moves_nothing_in_it_and_does_not_mix_images(route, mode):
    model = small().train(mode)
    model.drop.eval()  # modes may differ within the model
    before = account(model)
    extractor = create_feature_extractor(model, ["norm", "end"], route=route)
    assert not extractor.training
    found = extractor(images())
    assert account(model) == before
    assert not any(tensor.requires_grad for tensor in found.values())
    alone = torch.cat([extractor(images()[index : index + 1])["end"] for index in range(4)])
    torch.testing.assert_close(found["end"], alone)
    assert torch.equal(extractor(images())["end"], found["end"]), "and asked again it answers the same"
    extractor.eval()(images())
    assert account(model) == before
    nn.Sequential(extractor).eval()(images())
    assert account(model) == before


@pytest.mark.parametrize("route", ROUTES)
def test_gradients_flow_in_evaluation_where_they_are_asked_for(route):
    model = small()
    extractor = create_feature_extractor(model, ["end"], route=route, gradients=True)
    moved = model.norm.running_mean.clone()
    extractor(images())["end"].square().sum().backward()
    assert model.conv.weight.grad.abs().sum() > 0
    assert torch.equal(model.norm.running_mean, moved)
    with torch.no_grad():
        assert not extractor(images())["end"].requires_grad, "the caller's no_grad stays"
    features = create_feature_extractor(model, ["end"], route=route)(images())["end"]
    nn.Linear(6, 2)(features).sum().backward()  # what was read may be trained on


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("through_a_parent", [True, False])
@pytest.mark.parametrize("mode", [True, False])
def test_training_is_torchvisions_and_the_layers_get_their_modes_back_after_every_call(route, through_a_parent, mode):
    model, twin = small().train(mode), small().train()
    extractor = create_feature_extractor(model, ["norm", "end"], route=route)
    before = account(model)[0]
    whole = nn.Sequential(extractor)
    (whole if through_a_parent else extractor).train()
    assert extractor.training
    for _ in range(2):
        torch.manual_seed(5)
        expected = twin(images())
        torch.manual_seed(5)
        found = extractor(images())
        assert torch.equal(found["end"], expected), "batch statistics and dropout"
        assert torch.equal(model.norm.running_mean, twin.norm.running_mean)
        assert account(model)[0] == before
    found["end"].sum().backward()
    assert model.conv.weight.grad is not None
    (whole if through_a_parent else extractor).eval()
    moved = model.norm.running_mean.clone()
    assert not extractor(images())["end"].requires_grad
    assert torch.equal(model.norm.running_mean, moved)
    assert account(model)[0] == before


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("mode", [True, False])
def test_layers_may_be_frozen_between_train_and_the_next_call(route, mode):
    model = small().train(mode)
    extractor = create_feature_extractor(model, ["end"], route=route).train()
    for module in extractor.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    moved = model.norm.running_mean.clone()
    one, other = (extractor(images())["end"] for _ in range(2))
    assert torch.equal(model.norm.running_mean, moved), "frozen in both calls"
    assert not torch.equal(one, other), "dropout trains"
    assert {module.training for module in model.modules()} == {mode}
    extractor.train()
    extractor(images())
    assert not torch.equal(model.norm.running_mean, moved), "train() thaws it again"


@pytest.mark.parametrize("mode", [True, False])
def test_train_without_a_call_is_undone_by_eval(mode):
    model = small().train(mode)
    extractor = create_feature_extractor(model, ["end"])
    extractor.train()
    extractor.train()
    extractor.eval()
    assert {module.training for module in model.modules()} == {mode}


@pytest.mark.parametrize("route", ROUTES)
def test_modes_come_back_after_an_error_too(route):
    model = small().train()
    before = account(model)
    extractor = create_feature_extractor(model, ["end"], route=route)
    with pytest.raises(RuntimeError):
        extractor(torch.zeros(1, 5, 8, 8))
    with pytest.raises(InputError):
        create_feature_extractor(model, ["norm"], reduce="cls")(images())
    assert account(model) == before


def test_a_model_of_timm_is_read_by_its_own_route_in_evaluation_too():
    torch.manual_seed(0)
    model = timm.create_model("test_vit", img_size=32, depth=2, proj_drop_rate=0.5).train()
    before = account(model)[0]
    extractor = create_feature_extractor(model, ["blocks.0"])
    assert extractor.route == "own"
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(extractor(x)["blocks.0"], extractor(x)["blocks.0"])
    assert account(model)[0] == before


def test_threads_that_read_and_train_the_same_layers_wait_for_each_other():
    model = small().train()
    reader = create_feature_extractor(model, ["end"])
    trainer = create_feature_extractor(model, ["drop"]).train()
    trainer(images())
    expected = reader(images())["end"]
    before = modes_of(model)
    seen: list[bool] = []
    model.drop.register_forward_hook(lambda module, *_: seen.append(module.training))

    def read(_: int) -> bool:
        found = reader(images())["end"]
        return bool(torch.isfinite(found).all())

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(read if index % 2 else lambda _: trainer(images()), index) for index in range(40)]
        assert all(each.result(timeout=30) for each in done)
    assert seen.count(True) == seen.count(False) == 20
    assert modes_of(model) == before
    assert expected.shape == reader(images())["end"].shape


def test_a_block_within_a_block_does_not_wait_for_itself():
    layer = nn.Dropout().eval()
    with in_modes({layer: True}):
        with in_modes({layer: False}):
            assert not layer.training
            assert modes_of(layer) == {layer: False}
        assert layer.training
    assert not layer.training


def test_the_last_of_several_threads_gives_the_modes_back():
    layer, inside, leave = nn.Dropout().train(), threading.Barrier(2), threading.Event()

    def hold() -> None:
        with in_modes({layer: False}):
            inside.wait(10)
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    with in_modes({layer: False}):
        inside.wait(10)
    assert not layer.training, "the other one still reads"
    leave.set()
    thread.join(10)
    assert layer.training
