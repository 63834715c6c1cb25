"""For every architecture and route: the tensor that a plain hook on the whole model sees, and no work behind it."""

import copy
import re
import threading

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.contracts.architectures import ARCHITECTURES, built, images
from vitrail.basics.errors import InputError
from vitrail.features import create_feature_extractor, get_graph_node_names

ROUTES = [
    (name, route)
    for name, architecture in ARCHITECTURES.items()
    for route in ("auto", "hooks", "own", "graph")
    if (route != "own" or architecture.own) and (route != "graph" or architecture.can_be_traced)
]


class Counting(TorchDispatchMode):
    """Counts everything that is computed (a view is not), and what was computed when a mark was set."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.marked = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        alias = function._schema.returns[0].alias_info if function._schema.returns else None
        self.operations += alias is None or alias.is_write
        return function(*args, **(kwargs or {}))

    def mark(self) -> None:
        self.marked = self.operations


def nodes_of(name: str, route: str) -> tuple[str, ...]:
    return ARCHITECTURES[name].own if route == "own" else ARCHITECTURES[name].nodes


def seen_by_plain_hooks(model: nn.Module, nodes: tuple[str, ...], x: torch.Tensor) -> tuple[dict, int]:
    """Copies of what the modules return while the whole model runs, and how much was computed until the last."""
    modules, found, handles = dict(model.named_modules()), {}, []
    with Counting() as counting:
        for node in nodes:
            base, call = (node, 1) if node in modules else (node.rpartition("_")[0], int(node.rpartition("_")[2]) + 1)

            def hook(_module, _arguments, output, node=node, left=[call]):  # noqa: B006 - one list for each hook
                left[0] -= 1
                if left[0] == 0:
                    counting.mark()
                    found[node] = output.detach().clone()

            handles.append(modules[base].register_forward_hook(hook))
        model(x)
    for handle in handles:
        handle.remove()
    return found, counting.marked


def account_of(model: nn.Module) -> tuple:
    modules = dict(model.named_modules())
    return (
        {name: module.training for name, module in modules.items()},
        {name: sorted(vars(module)) for name, module in modules.items()},
        [name for name, module in modules.items() if module._forward_hooks or module._forward_pre_hooks],
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
    )


def assert_same_account(first: tuple, second: tuple) -> None:
    assert first[:3] == second[:3]
    assert all(torch.equal(first[3][name], second[3][name]) for name in first[3])


@pytest.mark.parametrize(("name", "route"), ROUTES)
@torch.no_grad()
def test_the_extractor_gives_what_a_plain_hook_on_the_whole_model_sees(name: str, route: str) -> None:
    model, x, nodes = built(name), images(name), nodes_of(name, route)
    expected, _ = seen_by_plain_hooks(model, nodes, x)
    extractor = create_feature_extractor(model, list(nodes), route=route)
    found = extractor(x)
    assert list(found) == list(nodes)
    for node in nodes:
        assert torch.equal(found[node], expected[node]), node


@pytest.mark.parametrize(("name", "route"), ROUTES)
@torch.no_grad()
def test_nothing_is_computed_behind_the_last_node(name: str, route: str) -> None:
    model, x = built(name), images(name)
    for node in nodes_of(name, route):
        _, until_there = seen_by_plain_hooks(model, (node,), x)
        extractor = create_feature_extractor(model, [node], route=route)
        with Counting() as counting:
            extractor(x)
        assert 0 < counting.operations <= until_there, node
    with Counting() as whole:
        model(x)
    assert until_there < whole.operations


@pytest.mark.parametrize(("name", "route"), ROUTES)
@torch.no_grad()
def test_the_model_is_left_as_it_was(name: str, route: str) -> None:
    model, x = built(name), images(name)
    next(model.children()).train()  # modes that differ inside the model must survive too
    before = account_of(model)
    create_feature_extractor(model.train(False), list(nodes_of(name, route)), route=route)
    next(model.children()).train()
    extractor = create_feature_extractor(model, list(nodes_of(name, route)), route=route)
    assert_same_account(account_of(model), before)
    model.eval()
    before = account_of(model)
    extractor(x)
    assert_same_account(account_of(model), before)


@pytest.mark.parametrize(("name", "route"), ROUTES)
def test_in_training_the_same_numbers_are_drawn_statistics_move_and_gradients_flow(name: str, route: str) -> None:
    model, x, nodes = built(name).train(), images(name), nodes_of(name, route)
    other = copy.deepcopy(model)
    torch.manual_seed(3)
    expected, _ = seen_by_plain_hooks(other, nodes, x)
    extractor = create_feature_extractor(model, list(nodes), route=route).train()
    torch.manual_seed(3)
    found = extractor(x)
    for node in nodes:
        assert torch.equal(found[node], expected[node]), node
    sum(tensor.square().mean() for tensor in found.values()).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in extractor.parameters())
    moved = dict(other.named_buffers())
    for buffer_name, buffer in model.named_buffers():
        if "running" in buffer_name and module_ran_before(nodes, buffer_name):
            assert torch.equal(buffer, moved[buffer_name]), buffer_name


def module_ran_before(nodes: tuple[str, ...], buffer_name: str) -> bool:
    return any(re.match(rf"{re.escape(node)}\.", buffer_name) for node in nodes)


@pytest.mark.parametrize(("name", "route"), ROUTES)
@torch.no_grad()
def test_a_copy_has_weights_of_its_own(name: str, route: str) -> None:
    x, nodes = images(name), list(nodes_of(name, route))
    extractor = create_feature_extractor(built(name), nodes, route=route)
    before = extractor(x)
    twin = copy.deepcopy(extractor)
    for parameter in twin.parameters():
        parameter.mul_(2.0).add_(0.01)
    after, other = extractor(x), twin(x)
    assert all(torch.equal(before[node], after[node]) for node in nodes)
    assert not torch.equal(before[nodes[-1]], other[nodes[-1]])
    twin.load_state_dict(extractor.state_dict())
    assert torch.equal(twin(x)[nodes[-1]], before[nodes[-1]])


@pytest.mark.parametrize("name", ["torchvision resnet", "vit", "hugging face vit", "in place"])
@torch.inference_mode()
def test_several_threads_may_use_extractors_of_one_model_at_once(name: str) -> None:
    model, nodes = built(name), list(ARCHITECTURES[name].nodes)
    every = create_feature_extractor(model, nodes, route="hooks")
    early = create_feature_extractor(model, nodes[:1], route="hooks")
    batches = [images(name, seed=seed) for seed in range(4)]
    expected = [every(batch) for batch in batches]
    wrong: list[str] = []

    def work(index: int) -> None:
        with torch.inference_mode():
            for _ in range(15):
                wrong.extend(n for n, t in every(batches[index]).items() if not torch.equal(t, expected[index][n]))
                if not torch.equal(early(batches[index])[nodes[0]], expected[index][nodes[0]]):
                    wrong.append(nodes[0])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not account_of(model)[2]


@pytest.mark.parametrize(
    "name", [name for name, architecture in ARCHITECTURES.items() if not architecture.can_be_traced]
)
def test_a_model_that_cannot_be_traced_says_so_and_still_gives_its_modules(name: str) -> None:
    model, node = built(name), ARCHITECTURES[name].nodes[0]
    before = account_of(model)
    with pytest.raises(InputError, match=r"cannot be traced as a graph: \w+"):
        create_feature_extractor(model, [node], route="graph")
    assert_same_account(account_of(model), before)
    assert create_feature_extractor(model, [node]).route == "hooks"


def test_listing_the_names_of_a_graph_leaves_no_constants_on_the_model() -> None:
    model = built("swin")
    before = account_of(model)
    get_graph_node_names(model, suppress_diff_warning=True)
    assert_same_account(account_of(model), before)
