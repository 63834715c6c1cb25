"""Names, refusals, and what an extractor does when something around it is unusual."""

import copy
import warnings
from collections import OrderedDict
from dataclasses import dataclass

import jaxtyping
import pytest
import timm
import torch
from torch import nn

from tests.processes import running
from vitrail.basics.errors import InputError
from vitrail.features import create_feature_extractor, get_graph_node_names
from vitrail.features.node_names import ModuleNames


@dataclass
class Answer:
    tokens: torch.Tensor
    pair: tuple[torch.Tensor, torch.Tensor]


class Layered(nn.Module):
    """Modules that return a tuple, a dictionary and a data class, one called twice, one never, one under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.twice = nn.Linear(4, 4)
        self.twice_1 = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.idle = nn.Linear(4, 4)
        self.again = self.first
        self.parts = nn.ModuleList([nn.Linear(4, 4)])
        self.answer = Answering()

    def forward(self, x: torch.Tensor) -> Answer:
        x = self.twice(self.twice(self.first(x)))
        x = self.twice_1(x).relu()
        x, _ = self.attention(x, x, x)
        return self.answer(self.parts[0](self.again(x)))


class Answering(nn.Module):
    def forward(self, x: torch.Tensor) -> Answer:
        return Answer(x + 1, (x + 2, x + 3))


class Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


@pytest.fixture
def layered() -> Layered:
    torch.manual_seed(0)
    return Layered().eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))


def hooks_of(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if module._forward_hooks]


def refusal(model: nn.Module, *arguments, **options) -> str:
    before = [module.training for module in model.modules()]
    with pytest.raises(InputError) as error:
        create_feature_extractor(model, *arguments, **options)
    assert [module.training for module in model.modules()] == before
    return str(error.value)


@torch.no_grad()
def test_the_calls_of_a_module_are_counted_and_a_real_module_wins(layered: Layered, x: torch.Tensor) -> None:
    found = create_feature_extractor(layered, ["twice#2", "twice", "twice_1", "first#2"])(x)
    once = layered.twice(layered.first(x))
    assert torch.equal(found["twice"], once)
    assert torch.equal(found["twice#2"], layered.twice(once))
    assert torch.equal(found["twice_1"], layered.twice_1(found["twice#2"]))
    assert list(found) == ["twice#2", "twice", "twice_1", "first#2"]


@torch.no_grad()
def test_a_part_of_a_tuple_or_data_class_is_named_in_brackets(layered: Layered, x: torch.Tensor) -> None:
    names = {"answer[tokens]": "a", "answer[pair][1]": "b", "attention[0]": "c"}
    found = create_feature_extractor(layered, names)(x)
    answer = layered(x)
    assert torch.equal(found["a"], answer.tokens)
    assert torch.equal(found["b"], answer.pair[1])


def test_an_output_that_is_not_one_tensor_is_refused_with_what_it_holds(layered: Layered, x: torch.Tensor) -> None:
    with pytest.raises(InputError) as error:
        create_feature_extractor(layered, ["answer"])(x)
    assert str(error.value) == (
        "'answer' is not one tensor but Answer with [tokens] (2, 3, 4), [pair][0] (2, 3, 4), [pair][1] (2, 3, 4)\n"
        "hint: ask for answer[tokens] or answer[pair][0] or answer[pair][1]"
    )
    with pytest.raises(InputError) as error:
        create_feature_extractor(layered, ["attention[2]"])(x)
    assert str(error.value) == (
        "'attention[2]' asks for [2] of tuple with [0] (2, 3, 4), [1] (2, 3, 3), which does not have it\n"
        "hint: ask for attention[0] or attention[1]"
    )
    assert not hooks_of(layered)


def test_a_module_that_is_not_called_is_an_error_and_never_left_out(layered: Layered, x: torch.Tensor) -> None:
    with pytest.raises(InputError) as error:
        create_feature_extractor(layered, ["first", "idle"])(x)
    assert str(error.value) == (
        "'idle' was not called for this input\n"
        "hint: ask for the module around it, or another; `vitrail nodes MODEL` lists how often each one is called"
    )
    with pytest.raises(InputError, match="'first#3' means call 3 of 'first', which was called 2 times for this input"):
        create_feature_extractor(layered, ["first#3"])(x)
    vit = timm.create_model("test_vit", img_size=32, depth=2).eval()
    with pytest.raises(
        InputError, match=r"'blocks.1#2' means call 2 of 'blocks.1', which was called once for this input"
    ):
        create_feature_extractor(vit, ["blocks.1#2"])(torch.zeros(1, 3, 32, 32))
    assert not hooks_of(layered)


@torch.no_grad()
def test_a_pattern_leaves_out_what_is_not_called_and_a_name_beside_it_does_not(
    layered: Layered, x: torch.Tensor
) -> None:
    called = ["first", "twice", "twice_1", "parts.0"]
    for route in ("hooks", "graph"):
        found = create_feature_extractor(layered, ["first", "i*", "twice*", "parts.*"], route=route)
        assert list(found(x)) == called
    vit, pictures = timm.create_model("test_vit", img_size=32, depth=2).eval(), torch.zeros(1, 3, 32, 32)
    assert "blocks.0.attn.attn_drop" not in create_feature_extractor(vit, ["blocks.0.attn.*"])(pictures)
    for nodes in (["i*", "idle"], ["i*"]):
        with pytest.raises(InputError, match="'idle' was not called for this input"):
            create_feature_extractor(layered, nodes, route="hooks")(x)
    assert not hooks_of(layered)


def test_what_is_no_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Outside of these tests nobody checks types before us.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    expected = (
        "the model was given as str, a module of PyTorch was expected\n"
        "hint: build it first, e.g. timm.create_model('vit_tiny_patch16_224', pretrained=True)"
    )
    with pytest.raises(InputError) as error:
        create_feature_extractor("resnet18", ["layer4"])
    assert str(error.value) == expected
    with pytest.raises(InputError) as error:
        get_graph_node_names("resnet18")
    assert str(error.value) == expected


def test_names_that_mean_nothing_or_two_things_are_refused(layered: Layered) -> None:
    listing = "`vitrail nodes MODEL` lists the names"
    model = timm.create_model("test_vit").eval()
    assert refusal(model, ["blocks.3.atn"]) == (
        "there is no node 'blocks.3.atn': no module or operation is called so\n"
        f"hint: did you mean blocks.3.attn, blocks.5.attn, blocks.4.attn? {listing}"
    )
    assert refusal(model, "blocks.*.atn") == (
        "there is no node 'blocks.*.atn': no module's name matches this pattern\n"
        f"hint: did you mean blocks.5.attn, blocks.4.attn, blocks.3.attn? {listing}"
    )
    assert refusal(model, ["relu#2"]) == (
        f"there is no node 'relu#2': only a module's calls can be counted with #\nhint: {listing}"
    )
    assert refusal(layered, ["again"]) == (
        "'again' is the same module as 'first'; the call that is meant must be said\n"
        "hint: ask for first#1, first#2, … in running order"
    )
    assert refusal(layered, ["parts"]) == (
        "'parts' only holds modules and is never called, so it has no output\nhint: ask for what it holds, e.g. parts.*"
    )


def test_requests_that_cannot_be_answered_are_refused(layered: Layered) -> None:
    assert refusal(layered, {"first": "a", "idle": "a"}) == (
        "nodes 'first' and 'idle' would both be given back as 'a'\nhint: give each node an output name of its own"
    )
    assert refusal(layered, {"parts.*": "a"}) == (
        "the pattern 'parts.*' stands for several nodes, which cannot share one output name\n"
        "hint: patterns go into a list, whose outputs are called like their nodes"
    )
    assert refusal(layered, []) == (
        "no node was asked for, at least one was expected\nhint: e.g. return_nodes=['layer4']"
    )
    with pytest.raises(InputError) as error:
        ModuleNames(layered).requests([1, 2])
    assert str(error.value) == (
        "nodes were given as [1, 2]; a name, a list of names or a dictionary was expected\n"
        "hint: e.g. return_nodes=['layer3', 'layer4'] or {'layer4': 'features'}"
    )
    both = (
        "return_nodes alone, or train_return_nodes and eval_return_nodes together, were expected\n"
        "hint: e.g. create_feature_extractor(model, ['layer4'])"
    )
    assert refusal(layered) == both
    assert refusal(layered, None, ["first"]) == both
    assert refusal(layered, ["first"], ["first"], ["first"]) == both


def test_a_route_that_cannot_do_it_is_refused_with_the_reason(layered: Layered) -> None:
    assert refusal(layered, ["first"], route="own") == (
        "route 'own' cannot be taken: Layered does not say how its layers follow each other (group_matcher)\n"
        "hint: leave the route out"
    )
    assert refusal(layered, ["relu"], route="hooks") == (
        "route 'hooks' knows modules only, and 'relu' is an operation\nhint: use route='graph', or leave the route out"
    )
    assert refusal(layered, ["idle"], route="graph") == (
        "the graph of the model has no call 1 of 'idle': it is not called, or stands inside a module that is not "
        "traced\nhint: use route='hooks', or another node"
    )
    assert refusal(layered, ["first"], route="hook") == (
        "there is no route 'hook'; auto, own, hooks and graph are known\nhint: did you mean hooks?"
    )
    model = timm.create_model("test_vit").eval()
    assert refusal(model, ["blocks.1.attn"], route="own") == (
        "route 'own' cannot be taken: 'blocks.1.attn' is not the output of a layer group\nhint: leave the route out"
    )


def test_the_inside_of_compiled_and_scripted_modules_is_refused() -> None:
    model = nn.Sequential(OrderedDict(inner=nn.Sequential(nn.Linear(2, 2), nn.ReLU()), last=nn.Linear(2, 2)))
    model.inner.compile(backend="eager")
    assert refusal(model, ["inner.0"]) == (
        "'inner.0' cannot be taken out: inner is compiled, its inside no longer runs as Python\n"
        "hint: make the extractor of the model before it is compiled, then torch.compile the extractor"
    )
    assert list(create_feature_extractor(model, ["last"], route="hooks").nodes) == ["last"]
    with pytest.raises(InputError, match=r"'_orig_mod\.last' cannot be taken out: the model is compiled"):
        compiled = torch.compile(nn.Sequential(OrderedDict(last=nn.Linear(2, 2))), backend="eager")
        create_feature_extractor(compiled, ["_orig_mod.last"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of PyTorch ask to stop scripting
        scripted = torch.jit.script(nn.Sequential(OrderedDict(layer=nn.Linear(2, 2))))
    with pytest.raises(InputError) as error:
        create_feature_extractor(scripted, ["layer"])
    assert str(error.value) == (
        "'layer' cannot be taken out: the model is scripted, its inside no longer runs as Python\n"
        "hint: make the extractor of the model before it is scripted"
    )


def test_a_model_that_is_spread_over_devices_is_refused() -> None:
    assert refusal(nn.DataParallel(nn.Sequential(nn.Linear(2, 2))), ["module.0"]) == (
        "'module.0' cannot be taken out: the model is a DataParallel, which runs copies of what is inside\n"
        "hint: make the extractor of its .module, and one process for each device"
    )


def test_the_models_own_error_comes_through_and_no_hook_stays() -> None:
    model = Failing()
    extractor = create_feature_extractor(model, ["first", "second"], route="hooks")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        extractor(torch.zeros(1, 4))
    assert not hooks_of(model)
    assert extractor.model is model


def test_nothing_a_model_catches_holds_up_the_end() -> None:
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                x = self.first(x)
            except Exception:  # noqa: BLE001 - that is the point
                x = x * 0
            return self.second(x)

    model, ran = Careful(), []
    model.second.register_forward_hook(lambda *_: ran.append(True))
    create_feature_extractor(model, "first", route="hooks")(torch.ones(1, 2))
    assert not ran


def test_an_extractor_inside_an_extracted_model_ends_only_itself() -> None:
    inner = create_feature_extractor(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), {"0": "a"}, route="hooks")

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.last, self.tail = inner, nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.tail(self.last(self.inner(x)["a"]))

    model, x = Outer(), torch.ones(1, 2)
    assert torch.equal(
        create_feature_extractor(model, ["last"], route="hooks")(x)["last"], model.last(model.inner(x)["a"])
    )


@torch.no_grad()
def test_modules_that_are_put_into_the_model_later_are_run_by_every_route_that_runs_the_model_itself() -> None:
    model, x = timm.create_model("test_vit", img_size=32, depth=3).eval(), torch.randn(1, 3, 32, 32)
    own, hooks = (create_feature_extractor(model, ["blocks.2"], route=route) for route in ("own", "hooks"))
    before = own(x)["blocks.2"]
    model.blocks[1] = nn.Identity()
    assert torch.equal(own(x)["blocks.2"], hooks(x)["blocks.2"])
    assert not torch.equal(own(x)["blocks.2"], before)


def test_a_route_and_its_reason_can_be_printed(layered: Layered) -> None:
    model = timm.create_model("test_vit").eval()
    own = create_feature_extractor(model, {"blocks.1": "b", "norm": "n"})
    assert own.explain() == (
        "route own: all nodes are outputs of layer groups\n  b: call 1 of module blocks.1\n  n: call 1 of module norm"
    )
    hooks = create_feature_extractor(layered, ["attention[0]"])
    assert hooks.explain() == (
        "route hooks: Layered does not say how its layers follow each other (group_matcher)\n"
        "  attention[0]: call 1 of module attention, its [0]"
    )
    graph = create_feature_extractor(layered, ["relu"])
    assert (graph.route, graph.reason) == ("graph", "'relu' is an operation, not a module")


class Remembering(nn.Module):
    """Keeps what it sees, in attributes and in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls, self.seen = nn.Linear(2, 2), 0, None
        self.register_buffer("decay", torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls, self.seen, self.new = self.calls + 1, x, x
        self.decay.mul_(0.5)
        if self.calls == 2:
            raise RuntimeError("not twice")
        return self.layer(x) + 1


def test_tracing_leaves_nothing_of_its_own_in_a_model_that_remembers_also_when_it_fails() -> None:
    inner = Remembering()
    model = nn.Sequential(inner)
    assert refusal(model, ["0.add"]).startswith("there is no node '0.add': no module is called so, and Sequential ")
    assert (inner.calls, inner.seen, hasattr(inner, "new")) == (0, None, False)
    assert torch.equal(inner.decay, torch.ones(2))
    inner.calls = 2
    assert create_feature_extractor(model, ["0.add"]).route == "graph"
    assert (inner.calls, inner.seen, hasattr(inner, "new")) == (2, None, False)


def test_patterns_stay_between_dots_and_two_stars_cross_them() -> None:
    model = timm.create_model("test_vit", depth=2).eval()
    assert list(create_feature_extractor(model, ["blocks.?.attn"]).nodes) == ["blocks.0.attn", "blocks.1.attn"]
    assert list(create_feature_extractor(model, ["blocks.*", "blocks.1"]).nodes) == ["blocks.0", "blocks.1"]
    assert list(create_feature_extractor(model, "**.qkv").nodes) == ["blocks.0.attn.qkv", "blocks.1.attn.qkv"]


def test_training_and_evaluation_may_have_nodes_of_their_own() -> None:
    model = nn.Sequential(OrderedDict(a=nn.Linear(2, 2), b=nn.Linear(2, 2)))
    for route in ("hooks", "graph"):
        extractor = create_feature_extractor(model, None, ["a"], {"b": "late"}, route=route)
        assert list(extractor.train()(torch.ones(1, 2))) == ["a"]
        assert list(extractor.eval()(torch.ones(1, 2))) == ["late"]


def test_the_callers_tracer_settings_are_not_changed() -> None:
    settings = {"leaf_modules": [nn.Sequential], "autowrap_functions": (len,)}
    before = copy.deepcopy(settings)
    create_feature_extractor(Failing(), ["first"], None, None, settings, route="graph")
    assert settings == before


class Swaying(nn.Module):
    """Runs another operation in training than in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x)
        return (x + 1 if self.training else x * 2) - 3


def test_operations_that_differ_between_training_and_evaluation_are_told_once() -> None:
    with pytest.warns(UserWarning, match="the model runs other operations in training than in evaluation"):
        get_graph_node_names(Swaying())
    assert get_graph_node_names(Swaying(), suppress_diff_warning=True) == (
        ["x", "layer", "add", "sub"],
        ["x", "layer", "mul", "sub"],
    )
    assert refusal(Swaying(), ["mul"]).startswith("there is no node 'mul': no module is called so, and in training no")
    found = create_feature_extractor(Swaying().eval(), None, ["add"], ["mul"], suppress_diff_warning=True)
    assert list(found(torch.ones(1, 2))) == ["mul"]


def test_an_operation_with_a_modules_name_is_counted_on() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.relu(x) - 1) - 1

    x = torch.tensor([[0.5, 3.0]])
    assert get_graph_node_names(Named())[0] == ["x", "relu", "sub", "relu_1", "sub_1"]
    found = create_feature_extractor(Named(), ["relu_1", "relu"])(x)
    assert found["relu_1"].tolist() == [[0.0, 2.0]]
    assert found["relu"].tolist() == [[0.5, 3.0]]


def test_gradient_checkpointing_keeps_its_gradients_and_leaves_nothing_behind() -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_vit", depth=3).train()
    x = torch.randn(2, 3, 160, 160)
    gradients = []
    for checkpointing in (False, True):
        model.set_grad_checkpointing(checkpointing)
        model.zero_grad()
        found = create_feature_extractor(model, ["blocks.1.attn", "blocks.0"], route="hooks").train()(x)
        sum(tensor.square().mean() for tensor in found.values()).backward()
        gradients.append(model.blocks[0].attn.qkv.weight.grad.clone())
        assert torch._C._autograd._top_saved_tensors_default_hooks(False) is None
    torch.testing.assert_close(*gradients)


@torch.no_grad()
def test_autocast_and_other_image_sizes_are_the_models_own() -> None:
    model = timm.create_model("test_vit", depth=2, dynamic_img_size=True).eval()
    for route, nodes in (("own", ["blocks.0"]), ("hooks", ["blocks.0"])):
        extractor = create_feature_extractor(model, nodes, route=route)
        assert extractor(torch.zeros(1, 3, 96, 128))["blocks.0"].shape == (1, 49, 64)
        with torch.autocast("cpu", torch.bfloat16):
            inner = create_feature_extractor(model, ["blocks.0.attn.qkv"])(torch.zeros(1, 3, 96, 128))
            assert inner["blocks.0.attn.qkv"].dtype == torch.bfloat16
        half = extractor.to(torch.bfloat16)(torch.zeros(1, 3, 96, 128, dtype=torch.bfloat16))
        assert half["blocks.0"].dtype == torch.bfloat16
        model.float()


COMPILED = """
import timm, torch
from tests.contracts.architectures import built, images
from vitrail.features import create_feature_extractor
for name, nodes, route in (
    ("vit", ["blocks.0.attn", "blocks.1"], "hooks"), ("vit", ["blocks.0", "blocks.1"], "own"),
    ("torchvision resnet", ["bn1", "layer2.0.relu_1", "layer3"], "hooks"),
    ("torchvision resnet", ["bn1", "layer2.0.add", "layer3"], "graph"),
):
    model = built(name)
    extractor = create_feature_extractor(model, nodes, route=route)
    with torch.no_grad():
        expected = [extractor(images(name, seed=seed)) for seed in (1, 2)]
        torch._dynamo.reset()
        compiled = torch.compile(extractor, fullgraph=True, backend="aot_eager")
        for seed, right in zip((1, 2), expected):
            found = compiled(images(name, seed=seed))
            assert list(found) == nodes
            assert all(torch.equal(found[node], right[node]) for node in nodes), (name, route)
    assert not any(module._forward_hooks for module in model.modules())
exported = torch.export.export(create_feature_extractor(built("vit"), ["blocks.1.attn"]), (images("vit"),)).module()
expected = create_feature_extractor(built("vit"), ["blocks.1.attn"])(images("vit"))
torch.testing.assert_close(dict(exported(images("vit"))), expected)
print("compiled", flush=True)
"""


def test_an_extractor_compiles_as_one_graph_and_gives_the_same(tmp_path) -> None:
    # In a process of its own, because the shape checks of these tests are not for the compiler.
    with running(exec, COMPILED, {}, printed=tmp_path / "printed") as process:
        process.wait()
    printed = (tmp_path / "printed").read_text()
    assert printed == "compiled\n", printed[-3000:]


def test_the_short_name_takes_what_torchvision_takes() -> None:
    import vitrail

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    named = vitrail.create_feature_extractor(model, train_return_nodes=["0"], eval_return_nodes=["0"])
    placed = vitrail.create_feature_extractor(model, None, ["0"], ["0"])
    x = torch.ones(1, 2)
    assert torch.equal(named(x)["0"], model[0](x))
    assert torch.equal(placed(x)["0"], model[0](x))
