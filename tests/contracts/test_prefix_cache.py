"""One promise for every family: with one fixed view, a cached run is the uncached one, but for rounding."""

import pytest
import timm
import torch
from torch import nn

from tests.unit.training.conftest import _one_thread as _one_thread
from tests.unit.training.small_job import Pictures, outcome, pictures, prepared_job
from vitrail.basics.errors import InputError
from vitrail.models.chain import Chain
from vitrail.models.heads import feature_width, set_linear_head

PIXELS = 32
VIT = {"img_size": PIXELS, "depth": 3}
FAMILIES: dict[str, tuple[str, dict]] = {
    "vit": ("vit_tiny_patch16_224", VIT),
    "vit pooling by attention": ("vit_tiny_patch16_224", {**VIT, "global_pool": "map"}),
    "distilled deit": ("deit_tiny_distilled_patch16_224", VIT),
    "hybrid": ("vit_tiny_r_s16_p8_224", VIT),
    "relative vit": ("vit_relpos_small_patch16_224", {**VIT, "embed_dim": 96, "num_heads": 2}),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": PIXELS, "window_size": 4, "depths": (1, 2, 1, 1), "embed_dim": 24, "num_heads": (1, 2, 2, 2)},
    ),
    "pvt v2": ("pvt_v2_b0", {"depths": (1, 2, 1, 1)}),
    "convnext": ("convnext_atto", {"depths": (1, 2, 1, 1), "dims": (8, 16, 24, 32)}),
    "resnet": ("resnet10t", {}),
}
UNCUT = ("test_efficientnet", {})
SETTINGS = {
    "stages": "head,top", "head_epochs": 2, "top_epochs": 3, "unfreeze": 2, "views": 1, "optimizer": "sgd",
    "learning_rate": 0.02, "head_learning_rate": 0.02, "checkpoint_seconds": 1e6,
}  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return pictures(tmp_path_factory.mktemp("pictures"), train=6, val=4, pixels=PIXELS)


def built(architecture: str, arguments: dict) -> nn.Module:
    """With a linear head, as the probe leaves it: a distilled model's two classifiers begin as one."""
    torch.manual_seed(0)
    model = timm.create_model(architecture, num_classes=2, drop_path_rate=0.3, **arguments).eval()
    set_linear_head(model, 0.05 * torch.randn(2, feature_width(model)), torch.tensor([0.1, -0.1]))
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_with_one_fixed_view_losses_and_weights_are_those_of_the_run_without_cache(family, images, tmp_path):
    model = built(*FAMILIES[family])
    cached_job = prepared_job(model, images, tmp_path / "cached", **SETTINGS, cache="on")
    assert [stage.cached for stage in cached_job.stages] == [True, True]
    assert [stage.cut for stage in cached_job.stages] == [cache.cut for cache in cached_job.judged_from.values()]
    cached = outcome(cached_job)
    plain_job = prepared_job(model, images, tmp_path / "plain", **SETTINGS, cache="off")
    assert not plain_job.judged_from
    plain = outcome(plain_job)
    for mine, theirs in zip(cached.trained.state.history, plain.trained.state.history, strict=True):
        assert mine["training_loss"] == pytest.approx(theirs["training_loss"], rel=1e-4)
        assert mine["validation_loss"] == pytest.approx(theirs["validation_loss"], rel=1e-4)
        assert mine["trained_from"] == theirs["trained_from"]
    for name, value in plain.weights.items():
        torch.testing.assert_close(cached.weights[name], value, rtol=1e-3, atol=1e-5, msg=name)
    trained = [name for name, value in model.state_dict().items() if not torch.equal(plain.weights[name], value)]
    parts = Chain(model).parts
    lowest = {parts[name] for name in trained if name in parts}
    assert min(lowest) == plain_job.stages[1].cut and max(lowest) == plain_job.chain.pooled


@pytest.mark.parametrize("family", FAMILIES)
def test_what_stands_before_the_cut_does_not_move(family, images, tmp_path):
    model = built(*FAMILIES[family])
    job = prepared_job(model, images, tmp_path, **{**SETTINGS, "stages": "top", "top_epochs": 1}, cache="off")
    weights, before = outcome(job).weights, model.state_dict()
    frozen = [name for name, part in job.chain.parts.items() if part < job.stages[0].cut]
    modules = {name.rpartition(".")[0] for name in frozen}
    kept = [name for name in before if name.rpartition(".")[0] in modules]
    assert len(kept) >= len(frozen) > 0
    assert all(torch.equal(weights[name], before[name]) for name in kept), "moving statistics of batch norms included"


def test_a_family_that_cannot_be_cut_trains_its_blocks_without_the_cache(images, tmp_path):
    model = built(*UNCUT)
    job = prepared_job(model, images, tmp_path, **{**SETTINGS, "head_epochs": 1, "top_epochs": 1}, cache="auto")
    assert [stage.cached for stage in job.stages] == [False, False], "one epoch of one view does not pay"
    assert len(outcome(job).trained.state.history) == 2
    longer = prepared_job(model, images, tmp_path / "longer", **SETTINGS, cache="auto")
    assert [stage.cached for stage in longer.stages] == [True, False]
    assert len(outcome(longer).trained.state.history) == 5


def test_a_family_that_cannot_be_cut_says_so_when_the_cache_is_asked_for(images, tmp_path):
    model = built(*UNCUT)
    with pytest.raises(InputError) as caught:
        prepared_job(model, images, tmp_path, **SETTINGS, cache="on")
    assert str(caught.value) == (
        "the cache was asked for, but this model cannot be cut before its top blocks: the running order of "
        "EfficientNet is not written out\nhint: leave --set cache=on out"
    )
    with pytest.raises(InputError) as caught:
        Chain(model).run(torch.zeros(1, 3, PIXELS, PIXELS), 0, 2)
    assert str(caught.value) == (
        "this model cannot be cut at place 2: the running order of EfficientNet is not written out\n"
        "hint: train without the prefix cache: --set cache=off"
    )
