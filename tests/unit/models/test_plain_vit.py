import pytest
import timm
import torch

from vitrail.basics.errors import InputError
from vitrail.models.chain import Chain
from vitrail.models.plain_vit import PlainVitSettings, plain_vit

SMALL = {"width": 24, "depth": 2, "heads": 2, "patch": 8}


def built(*, sizes=(16,), seed=0, **changed):
    return plain_vit(PlainVitSettings(**{**SMALL, **changed}), sizes=sizes, classes=5, seed=seed)


def test_the_network_has_the_shape_that_is_asked_for():
    model = built(width=48, depth=3, heads=4, patch=4, sizes=(32,)).model
    assert (model.embed_dim, len(model.blocks), model.blocks[0].attn.num_heads) == (48, 3, 4)
    assert model.patch_embed.grid_size == (8, 8)
    assert model.has_class_token and model.global_pool == "avg"
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    assert built(pooling="token").model.global_pool == "token"


def test_a_width_that_has_no_waves_along_two_axes_is_refused():
    with pytest.raises(InputError) as refusal:
        built(width=26, heads=2)
    assert str(refusal.value) == (
        "a width of 26 has no sine waves along two axes, which take a multiple of 4\n"
        "hint: choose a multiple of 4, e.g. --set width=28, or --set initialisation=timm"
    )
    assert built(width=26, heads=2, initialisation="timm").model.embed_dim == 26


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = built().model.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again, other = built().model.state_dict(), built(seed=1).model.state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["blocks.0.attn.qkv.weight"], other["blocks.0.attn.qkv.weight"])


def test_its_description_builds_the_same_modules():
    described = built(drop_path=0.2, drop_patches=0.5, sizes=(16, 32))
    model = timm.create_model(described.architecture, **described.model_args)
    model.load_state_dict(described.model.state_dict())
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model.eval()(images), described.model(images))


def test_a_network_for_several_sizes_takes_all_of_them_and_is_exact_at_the_last():
    several, single = built(sizes=(16, 32)).model, built(sizes=(32,)).model
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(several(images), single(images))
    small = Chain(several).run(torch.randn(2, 3, 16, 16), 0, Chain(several).logits)
    assert small.shape == (2, 5)
    with pytest.raises(AssertionError):
        single(torch.randn(2, 3, 16, 16))


def test_dropped_patches_are_left_out_in_training_only():
    model = built(drop_patches=0.75, sizes=(32,)).model
    images, tokens = torch.randn(2, 3, 32, 32), []
    model.blocks[0].register_forward_pre_hook(lambda _block, given: tokens.append(given[0].shape[1]))
    model.train()(images)
    model.eval()(images)
    assert tokens == [1 + 4, 1 + 16]


def test_a_size_that_the_patch_does_not_divide_is_refused():
    with pytest.raises(InputError) as caught:
        built(sizes=(16, 60))
    assert str(caught.value) == (
        "images of 60 pixels cannot be cut into patches of 8\n"
        "hint: choose a multiple, e.g. --set sizes=56, or another --set patch"
    )


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(InputError) as caught:
        built(width=52, heads=3)
    assert str(caught.value) == (
        "a width of 52 cannot be divided among 3 heads\nhint: choose a multiple of 12, e.g. --set width=60"
    )
