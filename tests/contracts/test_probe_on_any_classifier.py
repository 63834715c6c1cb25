"""Whatever a network of timm ends in: features, probe, package and training speak of the same linear map."""

import dataclasses
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from tests.unit.models.test_package import contents
from vitrail.basics.errors import InputError
from vitrail.features.nodes import inside
from vitrail.models.catalogue import build_model
from vitrail.models.chain import Chain
from vitrail.models.heads import feature_width, features_and_logits, set_linear_head, soften
from vitrail.models.linear_head import with_linear_head
from vitrail.models.model_settings import ModelSettings
from vitrail.models.network_arguments import checked_arguments
from vitrail.models.package import read_package, write_package
from vitrail.models.ready import ReadyModel
from vitrail.training.parameter_groups import freeze_below
from vitrail.training.settings import TrainingSettings
from vitrail.training.stages import planned_stages

MODELS: dict[str, tuple[str, dict, int]] = {
    "two tokens": ("pit_ti_distilled_224", {"image_size": 64}, 256),
    "no matcher": ("poolformer_s12", {"image_size": 64}, 512),
    "a hidden layer": ("caformer_s18", {"image_size": 64}, 2048),
    "norms in two classifiers": ("levit_128s", {"image_size": 64}, 384),
    "norms in a classifier of two": ("repvit_m1", {"image_size": 64}, 384),
    "a classifier per branch": ("crossvit_tiny_240", {"image_size": 120}, 288),
    "a second classifier on patches": ("volo_d1_224", {"image_size": 64}, 384),
    "shared layers": ("coat_tiny", {"image_size": 64}, 152),
}
NEWER = {"learned shares": ("efficientvim_m1", {"image_size": 64}, 960)}
"""Not in every timm that is supported."""


@pytest.fixture(params=[*MODELS, *NEWER])
def ready(request: pytest.FixtureRequest) -> tuple[ReadyModel, int]:
    name, settings, width = {**MODELS, **NEWER}[request.param]
    if not timm.is_model(name):
        pytest.skip(f"this timm has no {name}")
    torch.manual_seed(0)
    built = build_model(ModelSettings.parse(name=name, pretrained=False, **settings), num_classes=5)
    for tensor in built.model.state_dict().values():
        if tensor.is_floating_point():  # norms that do nothing would hide that they are left out
            tensor.add_(0.05 * torch.rand_like(tensor))
    return with_linear_head(built), width


def images(built: ReadyModel) -> torch.Tensor:
    shown = built.preprocessing
    return torch.randn(2, 3, shown.height, shown.width, generator=torch.Generator().manual_seed(1))


def opened(built: ReadyModel, folder: Path) -> list[nn.Module]:
    """The model from its package, by Vitrail and by timm; a large one is only built anew as the package would say."""
    state = built.model.state_dict()
    if sum(tensor.numel() for tensor in state.values()) > 1e7:
        arguments = {**checked_arguments(built.model_args), "num_classes": 3}
        again = timm.create_model(built.architecture, **arguments).eval()
        again.load_state_dict(state)
        return [again]
    write_package(folder, built, contents=contents(built.preprocessing))
    return [read_package(folder).load_model(), timm.create_model(f"local-dir:{folder}", pretrained=True).eval()]


def test_a_probe_is_a_map_of_the_features_that_package_and_training_keep(
    ready: tuple[ReadyModel, int], tmp_path: Path
) -> None:
    built, width = ready
    model, x = built.model, images(built)
    assert feature_width(model) == width
    weight, bias = torch.randn(3, width), torch.randn(3)
    with torch.no_grad():
        before = features_and_logits(model, x)[0]
        set_linear_head(model, weight, bias)
        features, logits = features_and_logits(model, x)
        assert torch.equal(features, before), "what was computed for the probe is what the model computes"
        assert torch.equal(logits, model(x))
        torch.testing.assert_close(logits, features @ weight.T + bias, rtol=1e-4, atol=1e-4)
        soften(model, 2.0)
        torch.testing.assert_close(model(x), logits / 2)

        # Weights that lie elsewhere in memory may change the order of a sum.
        for again in opened(built, tmp_path / "package"):
            torch.testing.assert_close(again(x), logits / 2, rtol=1e-5, atol=1e-5)

    chain = Chain(model)
    assert sorted(chain.parts) == sorted(name for name, _ in model.named_parameters())
    state = chain.run(x, 0, chain.pooled)
    torch.testing.assert_close(chain.run(state, chain.pooled, chain.logits), logits / 2, rtol=1e-4, atol=1e-4)
    for stage in planned_stages(TrainingSettings(stages=("head", "top")), chain, images=100):
        freeze_below(chain, stage.cut)
        begins = stage.cut if chain.can_cut(stage.cut) else 0
        chain.run(state.detach() if begins else x, begins, chain.logits).square().sum().backward()
        trained = {chain.parts[name] for name, each in model.named_parameters() if each.grad is not None}
        assert trained and min(trained) >= stage.cut
        model.zero_grad(set_to_none=True)


def test_logits_that_are_no_linear_map_of_the_features_are_refused_before_any_image_is_needed() -> None:
    built = build_model(ModelSettings(name="test_vit", pretrained=False), num_classes=5)
    linear = built.model.forward_head
    built.model.forward_head = lambda x, pre_logits=False: (
        linear(x, pre_logits=pre_logits) * (1 if pre_logits else 1.02)
    )
    with pytest.raises(InputError) as error:
        with_linear_head(built)
    assert str(error.value) == (
        "the logits of VisionTransformer are no linear map of its pooled features, they differ by 2.0 %\n"
        "hint: choose another architecture for a probe; vitrail features can use this one"
    )


def test_weights_without_a_classifier_get_one_and_keep_their_features() -> None:
    built = build_model(ModelSettings(name="test_vit", pretrained=False), num_classes=0)
    x = images(built)
    with torch.inference_mode():
        before = features_and_logits(built.model, x)[0]
        ready = with_linear_head(built)
        set_linear_head(ready.model, torch.ones(3, 64), torch.zeros(3))
        features, logits = features_and_logits(ready.model, x)
        assert torch.equal(features, before)
        torch.testing.assert_close(logits[:, 0], features.sum(dim=1), rtol=1e-4, atol=1e-4)


def test_trying_the_map_leaves_two_classifiers_as_they_were() -> None:
    built = build_model(ModelSettings.parse(name="deit_tiny_distilled_patch16_224", pretrained=False, image_size=32))
    before = {name: tensor.clone() for name, tensor in built.model.state_dict().items()}
    after = with_linear_head(dataclasses.replace(built)).model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not torch.equal(after["head.weight"], after["head_dist.weight"])


def test_operations_are_counted_where_a_parameter_is_handed_on_as_it_is() -> None:
    model = timm.create_model("pit_ti_224", img_size=64).eval()
    assert (inside(model, torch.zeros(1, 3, 64, 64)).multiplications or 0) > 0
    assert all(parameter.requires_grad for parameter in model.parameters())
