import math

import pytest
import torch

from vitrail.features.attention.distance import attention_distance, patch_distances


def _uniform(tokens):
    return torch.full((1, 1, tokens, tokens), 1 / tokens)


@pytest.mark.parametrize(("side", "patches"), [(2, 0.853553), (3, 1.453311), (14, 7.280764)])
def test_uniform_attention_reaches_the_known_distance(side, patches):
    found = attention_distance(_uniform(side * side), (side, side), prefix=0)
    assert found.item() == pytest.approx(patches, abs=1e-6)


def test_uniform_attention_of_sixteen_pixel_patches_reaches_116_pixels():
    assert 16 * attention_distance(_uniform(196), (14, 14), prefix=0).item() == pytest.approx(116.49, abs=0.005)


def test_who_only_looks_at_itself_has_distance_zero():
    assert attention_distance(torch.eye(6)[None, None], (2, 3), prefix=0).item() == 0


@pytest.mark.parametrize("prefix", [1, 5])
def test_what_class_and_register_tokens_take_does_not_shorten_the_distance(prefix):
    tokens = prefix + 9
    weights = torch.full((1, 1, tokens, tokens), 0.1 / 9)
    weights[..., :prefix] = 0.9 / prefix
    assert attention_distance(weights, (3, 3), prefix=prefix).item() == pytest.approx(1.453311, abs=1e-6)


def test_patches_that_look_at_the_class_token_alone_are_left_out():
    weights = torch.zeros(1, 1, 5, 5)
    weights[..., 0] = 1
    assert math.isnan(attention_distance(weights, (2, 2), prefix=1).item())
    weights[0, 0, 1] = torch.tensor([0.0, 0, 1, 0, 0])  # the first patch looks at its right neighbour
    assert attention_distance(weights, (2, 2), prefix=1).item() == pytest.approx(1)


def test_rows_and_columns_of_a_grid_are_not_mixed_up():
    distances = patch_distances((2, 3))
    assert distances[0].tolist() == pytest.approx([0, 1, 2, 1, math.sqrt(2), math.sqrt(5)])


def test_heads_and_images_have_distances_of_their_own():
    draw = torch.rand(3, 2, 7, 7, generator=torch.Generator().manual_seed(0)).softmax(-1)
    together = attention_distance(draw, (2, 3), prefix=1)
    for image in range(3):
        for head in range(2):
            alone = attention_distance(draw[image : image + 1, head : head + 1], (2, 3), prefix=1)
            assert together[image, head].item() == pytest.approx(alone.item())
