import numpy as np
import pytest
import timm
import torch
from torch import nn

from vitrail.features.attention.faithfulness import deletions, random_orders
from vitrail.features.attention.reader import AttentionReader


class OnePatch(nn.Module):
    """A ViT whose answer stands on one patch alone, planted: the brightness of the patch in row 1, column 2."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.vit = timm.create_model(
            "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2, num_classes=2
        )
        self.num_prefix_tokens, self.patch_embed, self.cls_token = 1, self.vit.patch_embed, self.vit.cls_token

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = x[:, :, 8:16, 16:24].mean(dim=(1, 2, 3))
        return torch.stack([4 * bright, -4 * bright], dim=1) + 0 * self.vit(x)


@pytest.fixture(scope="module")
def planted():
    image = 0.1 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    image[:, :, 8:16, 16:24] += 1.0
    return AttentionReader(OnePatch().eval(), image), image


def _map(row, column):
    values = torch.rand(4, 4, generator=torch.Generator().manual_seed(3)) * 0.1
    values[row, column] = 1
    return values


def test_a_map_of_the_planted_patch_says_more_than_chance_and_one_of_another_does_not(planted):
    reader, image = planted
    maps = {"right": _map(1, 2), "wrong": -_map(1, 2)}
    found = deletions(
        reader, image, maps, answer=0, shares=(0.0625, 0.25, 0.5), seed=4
    )  # where no random map begins there
    assert found["right"].verdict == "says more than chance"
    assert found["wrong"].verdict == "not more than chance"
    assert found["right"].probability[1] < 0.9 * found["right"].probability[0]
    assert found["wrong"].probability[3] > 0.9 * found["wrong"].probability[0]


def test_curves_begin_with_the_whole_image_and_end_with_none_of_it(planted):
    reader, image = planted
    found = deletions(reader, image, {"map": _map(1, 2)}, answer=0)["map"]
    assert found.shares == [0.0, 0.1, 0.25, 0.5, 0.75, 1.0]
    assert found.probability[0] == pytest.approx(reader.probabilities(image)[0, 0].item())
    grey = image.mean(dim=(2, 3), keepdim=True).expand_as(image)
    assert found.probability[-1] == pytest.approx(reader.probabilities(grey)[0, 0].item())
    assert len(found.random_areas) == 19 and found.random_areas == sorted(found.random_areas)


def test_only_the_order_of_a_map_counts(planted):
    reader, image = planted
    one = deletions(reader, image, {"map": _map(1, 2)}, answer=0, random_maps=2)["map"]
    other = deletions(reader, image, {"map": 100 * _map(1, 2) - 7}, answer=0, random_maps=2)["map"]
    assert one == other


def test_random_maps_are_orders_of_all_patches_and_the_same_for_the_same_seed():
    one, again, other = (random_orders((2, 3), 5, seed=seed) for seed in (1, 1, 2))
    assert all(sorted(order) == list(range(6)) for order in one)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
