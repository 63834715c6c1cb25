import pytest
import timm
import torch

from tests.unit.models.folders import ARCHITECTURES, SMALL, random_model
from vitrail.basics.errors import InputError
from vitrail.models.heads import feature_width, features_and_logits, pooled_features, set_linear_head, soften
from vitrail.models.position_embedding import use_factorised_position

MODELS: dict[str, tuple[str, dict]] = {
    **ARCHITECTURES,
    "vit pooling by average": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avg"}),
    "vit pooling by attention": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "map"}),
    "vit pooling average and maximum": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avgmax"}),
    "resnet pooling both ways": ("resnet18", {"global_pool": "catavgmax"}),
    "convnext with a hidden layer": ("convnext_atto", {"head_hidden_size": 24}),
    "mobilenet, convolution before its classifier": ("mobilenetv3_small_050", {}),
    "mixer": ("mixer_s32_224", {"img_size": 64}),
}


def built(family: str):
    name, arguments = MODELS[family]
    return random_model(name, **arguments), torch.randn(
        3, 3, arguments.get("img_size", 64), arguments.get("img_size", 64)
    )


@pytest.fixture(params=MODELS)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@torch.inference_mode()
def test_features_have_the_width_that_is_told_and_logits_are_the_models_own(family: str) -> None:
    model, x = built(family)
    features, logits = features_and_logits(model, x)
    assert features.shape == (3, feature_width(model))
    assert torch.equal(logits, model(x))
    assert torch.equal(features, pooled_features(model, x))


@torch.inference_mode()
def test_logits_are_the_classifier_applied_to_the_features(family: str) -> None:
    model, x = built(family)
    if family == "distilled deit":
        model.head_dist.load_state_dict(model.head.state_dict())
    layer = model.get_classifier()[0] if family == "distilled deit" else model.get_classifier()
    weight, bias = layer.weight.reshape(7, -1), layer.bias
    torch.testing.assert_close(model(x), pooled_features(model, x) @ weight.T + bias, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_a_linear_head_is_exactly_that_map_of_the_pooled_features(family: str) -> None:
    model, x = built(family)
    before = pooled_features(model, x)
    weight, bias = torch.randn(4, feature_width(model)), torch.randn(4)
    set_linear_head(model, weight, bias)
    assert model.num_classes == 4
    assert torch.equal(pooled_features(model, x), before), "the pooling stays"
    torch.testing.assert_close(model(x), before @ weight.T + bias, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_linear_head_fits_on_a_vit_with_two_dimensional_positions() -> None:
    model = random_model("vit_tiny_patch16_224", **SMALL)
    use_factorised_position(model, from_table=True)
    x = torch.randn(2, 3, 48, 48)
    set_linear_head(model, torch.ones(2, 192), torch.zeros(2))
    torch.testing.assert_close(model(x)[:, 0], pooled_features(model, x).sum(dim=1), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_the_feature_of_a_distilled_vit_is_the_mean_of_both_tokens() -> None:
    model, x = built("distilled deit")
    tokens = model.forward_features(x)
    torch.testing.assert_close(pooled_features(model, x), tokens[:, :2].mean(dim=1))


def test_a_head_of_other_width_is_refused() -> None:
    with pytest.raises(InputError, match="a head of width 9 does not fit features of width 192\nhint: fit it"):
        set_linear_head(random_model("vit_tiny_patch16_224", **SMALL), torch.ones(2, 9), torch.zeros(2))


def test_a_model_that_does_not_pool_is_refused() -> None:
    model = timm.create_model("vit_tiny_patch16_224", global_pool="", **SMALL)
    with pytest.raises(
        InputError, match=r"VisionTransformer does not pool its features, their shape is \(1, 10, 192\)"
    ):
        pooled_features(model, torch.zeros(1, 3, 48, 48))


def test_a_classifier_that_is_no_plain_linear_layer_is_refused() -> None:
    model = random_model("vit_tiny_patch16_224", **SMALL)
    model.get_classifier = lambda: torch.nn.Sequential(model.head)
    with pytest.raises(InputError, match="ends in Sequential, a linear classifier with bias was expected"):
        set_linear_head(model, torch.ones(2, 192), torch.zeros(2))


@pytest.mark.parametrize("name", ["test_vit", "resnet10t", "deit_tiny_distilled_patch16_224"])
def test_a_softened_model_gives_the_same_logits_divided_by_the_temperature(name):
    arguments = {"img_size": 32} if "resnet" not in name else {}
    model = timm.create_model(name, num_classes=3, **arguments).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        before = model(images)
    soften(model, 2.5)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), before / 2.5)
