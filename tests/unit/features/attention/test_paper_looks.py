import numpy as np
import pytest
import timm
import torch
import torchvision
from sklearn.decomposition import PCA

from vitrail.basics.errors import InputError
from vitrail.features.attention.patch_filters import filter_components
from vitrail.features.attention.position_similarity import position_similarity


def _vit(**arguments):
    torch.manual_seed(0)
    model = timm.create_model("test_vit", **arguments)
    torch.nn.init.normal_(model.patch_embed.proj.weight)
    if isinstance(model.pos_embed, torch.Tensor):
        torch.nn.init.normal_(model.pos_embed)
    return model


def test_filter_components_are_scikit_learns():
    model = _vit(embed_dim=128)
    found = filter_components(model)
    peer = PCA(28, svd_solver="full").fit(model.patch_embed.proj.weight.detach().flatten(1).double().numpy())
    assert found.components.shape == (28, 3, 16, 16) and found.filters == 128
    assert found.explained.numpy() == pytest.approx(peer.explained_variance_ratio_, rel=1e-4)
    dots = (found.components.flatten(1).double().numpy() * peer.components_).sum(axis=1)
    assert np.abs(dots) == pytest.approx(np.ones(28), abs=1e-4)


def test_the_largest_entry_of_a_component_is_positive():
    flat = filter_components(_vit()).components.flatten(1)
    assert (flat.gather(1, flat.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_fewer_filters_than_components_and_constant_filters_are_no_fault():
    model = _vit(embed_dim=8, num_heads=2)
    assert len(filter_components(model).components) == 8
    torch.nn.init.constant_(model.patch_embed.proj.weight, 0.5)
    assert torch.isfinite(filter_components(model).explained).all()


@pytest.mark.parametrize("arguments", [{}, {"reg_tokens": 4}, {"class_token": False, "global_pool": "avg"}])
def test_similarity_is_the_cosine_of_patches_and_leaves_prefix_tokens_out(arguments):
    model = _vit(img_size=(32, 48), **arguments)
    table = model.pos_embed[0, -6:].detach()
    found = position_similarity(model)
    assert found.shape == (2, 3, 2, 3)
    expected = torch.nn.functional.cosine_similarity(table[:, None], table[None], dim=-1).reshape(2, 3, 2, 3)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.stack([found[r, c, r, c] for r in range(2) for c in range(3)]), torch.ones(6))


def test_torchvisions_class_token_stands_first_too():
    model = torchvision.models.VisionTransformer(32, 8, 1, 2, 32, 64)
    table = model.encoder.pos_embedding[0, 1:].detach()
    expected = torch.nn.functional.cosine_similarity(table[3], table[9], dim=0)
    assert position_similarity(model)[0, 3, 2, 1].item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_position_without_length_has_no_similarity():
    model = _vit(img_size=32)
    with torch.no_grad():
        model.pos_embed[0, 1] = 0
    found = position_similarity(model)
    assert torch.isnan(found[0, 0]).all() and torch.isfinite(found[1, 1, 1, 0])


def test_what_has_neither_is_told_so():
    with pytest.raises(
        InputError, match="no table of absolute positions: they are relative, rotary, or there are none"
    ):
        position_similarity(timm.create_model("test_vit", pos_embed="none"))
    with pytest.raises(InputError, match="tokens of ResNet do not come from patches in one step"):
        filter_components(timm.create_model("resnet10t"))
