import numpy as np
import pytest
import timm
import torch

import vitrail
from vitrail.basics.errors import InputError
from vitrail.features.attention.layers import NoTokenAttention
from vitrail.features.attention.map import spread, times_even
from vitrail.features.attention.reader import AttentionReader
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings

PICTURE = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def ready():
    torch.manual_seed(0)
    settings = ModelSettings(name="test_vit", pretrained=False, image_size=(32, 48))
    return build_model(settings, num_classes=3)


def test_the_map_of_a_picture_has_the_size_at_which_it_is_seen(ready):
    found = vitrail.attention_map(ready, PICTURE)
    assert (found.layer, found.name, found.head) == (5, "blocks.5.attn", 0)
    assert found.patches.shape == (2, 3)
    assert np.asarray(found).shape == found.values.shape == (32, 48)
    assert found.picture.shape == (32, 48, 3)
    assert found.patches.sum() + found.beside == pytest.approx(1)


def test_every_pixel_has_the_weight_of_its_patch_unscaled(ready):
    found = vitrail.attention_map(ready, PICTURE, layer=1, head=None)
    for row in range(2):
        for column in range(3):
            block = found.values[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            assert (block == found.patches[row, column]).all()


def test_a_module_with_a_tensor_gives_what_its_reader_gives():
    torch.manual_seed(0)
    model = timm.create_model("test_vit", img_size=32).eval()
    x = torch.randn(3, 32, 32)
    found = vitrail.attention_map(model, x, layer=0, head=1)
    expected = AttentionReader(model, x[None]).read(x[None]).map(0, 1)[0]
    assert found.patches == pytest.approx(expected.numpy())
    assert found.picture is None


def test_a_module_sees_a_picture_through_the_preprocessing_that_is_given(ready):
    found = vitrail.attention_map(ready.model, PICTURE, preprocessing=ready.preprocessing)
    assert found.patches == pytest.approx(vitrail.attention_map(ready, PICTURE).patches)


def test_what_no_network_takes_is_refused_with_a_hint(ready):
    with pytest.raises(InputError, match=r"how VisionTransformer is shown a path is not known.*\nhint: give preproc"):
        vitrail.attention_map(ready.model, "photo.jpg")
    with pytest.raises(InputError, match=r"torch.uint8 \(2, 3, 32, 48\); floating-point numbers"):
        vitrail.attention_map(ready, torch.zeros(2, 3, 32, 48, dtype=torch.uint8))
    with pytest.raises(InputError, match="layer 6 was asked for, the network has 6 layers"):
        vitrail.attention_map(ready, PICTURE, layer=6)
    with pytest.raises(NoTokenAttention, match="ResNet has no attention"):
        vitrail.attention_map(timm.create_model("resnet10t"), torch.zeros(1, 3, 64, 64))


def test_what_is_no_model_is_refused_with_the_way_to_get_one():
    for given in ("runs/ants", None, 3):
        with pytest.raises(InputError, match="a model is looked into, got") as caught:
            vitrail.attention_map(given, "photo.jpg")
        assert "vitrail.load(PACKAGE)" in caught.value.hint


def test_shares_are_told_against_an_even_spread():
    assert times_even(np.full((2, 3), 0.01)) == pytest.approx(np.ones((2, 3)))
    assert times_even(np.zeros((2, 2))) == pytest.approx(np.ones((2, 2)))


def test_few_tokens_that_take_most_are_told():
    from vitrail.features.attention.layers import AttentionLayers
    from vitrail.features.attention.map import map_of

    layers = AttentionLayers(("attn",), (0,), (1,), 1, (10, 20), (4, 4), (0,))
    row = torch.full((201,), 0.3 / 199)
    row[[5, 77]] = 0.35
    found = map_of(row, layers, size=(40, 80), layer=0, head=0)
    assert found.outlying == pytest.approx(0.7)
    assert "70% on the 1 % of tokens that get most" in repr(found)


def test_an_edge_that_no_patch_covers_is_zero():
    found = spread(np.ones((2, 2)), (3, 3), (7, 6))
    assert found[:6].all() and not found[6].any()
