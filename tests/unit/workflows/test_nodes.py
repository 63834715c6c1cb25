"""What `vitrail nodes` says of a model is what its extractor gives."""

import json
import re
import warnings

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import vitrail
from tests.contracts.architectures import built, images
from vitrail.basics.errors import InputError
from vitrail.cli.main import app
from vitrail.features import create_feature_extractor


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared, self.split, self.idle = nn.Linear(4, 4, bias=False), Splitting(), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.split(self.shared(self.shared(x)))[0].relu()


class Splitting(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return x + 1, {"twice": 2 * x}


@pytest.mark.parametrize("name", ["vit", "swin", "torchvision resnet", "hugging face vit", "in place"])
def test_every_name_that_is_listed_can_be_extracted_with_the_shape_that_is_listed(name: str) -> None:
    model, x = built(name), images(name)
    found = vitrail.nodes(model, example=x).found
    listed = {f"{node.name}{suffix}": shape for node in found.modules for suffix, shape in node.shapes.items()}
    taken = create_feature_extractor(model, list(listed), route="hooks")(x)
    assert {name: tuple(tensor.shape) for name, tensor in taken.items()} == listed
    later = [name for node in found.modules for name in node.extractable if "#" in name]
    assert not later or list(create_feature_extractor(model, later)(x)) == later
    if found.operations:
        last = found.operations[-1]
        assert last in create_feature_extractor(model, [last], suppress_diff_warning=True)(x)
    else:
        assert found.why_no_operations


def test_the_work_of_torchs_own_attention_is_counted() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()

    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x, x, x, need_weights=False)[0]

    found = vitrail.nodes(Looking().eval(), example=torch.zeros(3, 5, 8)).found
    whole = next(node for node in found.modules if node.name == "attention")
    projections, products = 3 * 5 * (3 * 8 * 8 + 8 * 8), 3 * 2 * (5 * 5 * 8)
    assert whole.multiplications == found.multiplications == projections + products
    assert torch.backends.mha.get_fastpath_enabled()


def test_calls_parts_sizes_and_shares_are_counted() -> None:
    model = Branching().train()
    found = vitrail.nodes(model, example=torch.zeros(2, 3, 4)).found
    shared, split, idle = found.modules
    assert (shared.calls, shared.parameters, shared.extractable) == (2, 16, ["shared", "shared#2"])
    assert shared.multiplications == 2 * (2 * 3 * 4 * 4)
    assert found.share(shared) == 1.0
    assert (split.extractable, split.shapes["[1][twice]"]) == (["split[0]", "split[1][twice]"], (2, 3, 4))
    assert (idle.calls, idle.extractable, found.share(idle)) == (0, [], 0.0)
    assert found.operations == ("split.add", "split.mul", "relu")
    assert all(module.training and not module._forward_hooks for module in model.modules())


def test_shares_of_a_models_parts_add_up_to_the_whole() -> None:
    found = vitrail.nodes("test_vit", depth=1).found
    assert sum(found.share(node) for node in found.modules) == pytest.approx(1.0)


def test_patterns_and_depth_choose_what_is_shown() -> None:
    assert [node.name for node in vitrail.nodes("test_vit", "blocks.0.*", "norm").found.modules] == [
        "blocks.0.norm1", "blocks.0.attn", "blocks.0.ls1", "blocks.0.drop_path1",
        "blocks.0.norm2", "blocks.0.mlp", "blocks.0.ls2", "blocks.0.drop_path2", "norm",
    ]  # fmt: skip
    shallow = vitrail.nodes("test_vit", depth=1)
    assert {node.name.count(".") for node in shallow.found.modules} == {0}
    assert shallow.hidden > 50


def test_a_module_without_an_example_and_a_pattern_without_match_are_refused() -> None:
    with pytest.raises(InputError) as error:
        vitrail.nodes(Branching())
    assert str(error.value) == (
        "what Branching takes is not known, an example was expected\n"
        "hint: e.g. vitrail.nodes(model, example=torch.zeros(1, 3, 224, 224))"
    )
    with pytest.raises(InputError, match=r"there is no node 'blocks\.\*\.atn': no module's name matches this pattern"):
        vitrail.nodes("test_vit", "blocks.*.atn")


def test_the_command_prints_a_tree_and_json() -> None:
    text = CliRunner().invoke(app, ["nodes", "test_vit", "--depth", "1"]).stdout
    lines = text.splitlines()
    assert lines[0].split() == ["module", "output", "parameters", "work", "calls", "kind"]
    assert re.fullmatch(r"patch_embed +1×10×10×64 +49,216 +\d\d\.\d% +1 +PatchEmbed", lines[1])
    assert "billion multiplications an image" in text and "modules lie deeper" in text
    assert re.fullmatch(r"\d+ operations can be taken too, e\.g\. expand, \w+, \w+; --json lists all", lines[-1])
    told = json.loads(CliRunner().invoke(app, ["nodes", "test_vit", "blocks.*", "--json"]).stdout)
    assert told["modules"][0]["outputs"] == {"blocks.0": [1, 101, 64]}
    assert told["modules"][0]["extract"] == ["blocks.0"]
    assert told["operations"][0] == "patch_embed.permute" and told["why_no_operations"] is None


@pytest.mark.parametrize("name", ["torchvision resnet", "torchvision vit", "vit", "swin", "convnext", "in place"])
@torch.no_grad()
def test_every_operation_that_is_listed_can_be_extracted(name: str) -> None:
    model, x = built(name), images(name)
    listed = list(vitrail.nodes(model, example=x).found.operations)
    assert listed and "x" not in listed and not any("_assert" in each for each in listed)
    assert list(create_feature_extractor(model, listed, suppress_diff_warning=True)(x)) == listed


def test_operations_of_evaluation_only_inputs_and_weights_are_not_listed_and_tuples_by_their_parts() -> None:
    class Parting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor, shift: torch.Tensor, times: int = 2) -> torch.Tensor:
            left, right = (x * self.scale + shift).chunk(2, dim=-1)
            return left - right if self.training else left + right * times

    given = {"x": torch.zeros(2, 4), "shift": torch.zeros(4)}
    expected = ("mul", "add", "chunk[0]", "chunk[1]", "getitem", "getitem_1")
    assert vitrail.nodes(Parting(), example=tuple(given.values())).found.operations == expected
    assert vitrail.nodes(Parting(), example=given).found.operations == expected


def test_compiled_and_scripted_models_are_refused_as_the_extractor_refuses_them() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of PyTorch ask to stop scripting
        scripted = torch.jit.script(model)
    parted = nn.Sequential(nn.Linear(2, 2))
    parted[0].compile(backend="eager")
    for closed, fault in (
        (torch.compile(model, backend="eager"), "OptimizedModule cannot be looked into: the model is compiled"),
        (scripted, "RecursiveScriptModule cannot be looked into: the model is scripted"),
        (parted, "Sequential cannot be looked into: 0 is compiled"),
    ):
        with pytest.raises(InputError) as error:
            vitrail.nodes(closed, example=torch.zeros(1, 2))
        assert str(error.value) == (
            f"{fault}, its inside no longer runs as Python\nhint: give the model as it was before that"
        )


def test_an_example_that_the_model_does_not_take_is_refused_in_our_words() -> None:
    class Picky(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError(f"{tuple(x.shape)} is not my shape\nand more lines")

    for model, example, fault in (
        (Picky(), torch.zeros(1, 3), "ValueError: (1, 3) is not my shape"),
        (Branching(), (), "TypeError: Branching.forward() missing 1 required positional argument: 'x'"),
    ):
        with pytest.raises(InputError) as error:
            vitrail.nodes(model, example=example)
        assert str(error.value) == (
            f"{type(model).__name__} does not take this example: {fault}\n"
            "hint: the example is what the model is called with: a tensor, a tuple of several, or a dictionary by name"
        )
        assert all(module.training and not module._forward_hooks for module in model.modules())


def test_a_graph_that_does_not_take_the_example_has_no_operations_and_says_why() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            return self.layer(x if mask is None else x * mask).relu()

    found = vitrail.nodes(Masked(), example=torch.zeros(1, 4)).found
    assert [node.name for node in found.modules] == ["layer"]
    assert found.operations == ()
    assert found.why_no_operations is not None
    assert found.why_no_operations.startswith("the graph of Masked does not take this example: TypeError: ")


def test_what_is_inside_a_model_is_printed_as_a_table():
    shown = repr(vitrail.nodes(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
                               example=torch.zeros(1, 4)))  # fmt: skip
    assert shown.splitlines()[:3] == [
        "module  output  parameters    work  calls  kind",
        "0       1×4              0    0.0%      1  Flatten",
        "1       1×2             10  100.0%      1  Linear",
    ]
