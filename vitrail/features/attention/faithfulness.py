"""Whether a map says what an answer depends on: patches are taken away in its order, and the answer is watched."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from vitrail.features.attention.reader import AttentionReader
from vitrail.measures.deletion import Deletion, area_under, judged_deletion

SHARES = (0.1, 0.25, 0.5, 0.75)
"""Shares of the patches that are taken away, beside none and all of them."""

FEW_SHARES = (0.1, 0.4)
"""The same where one picture must not take long."""

AT_ONCE = 16
"""Images in one forward pass; more do not run faster on a processor."""


def deletions(
    reader: AttentionReader,
    image: Float[Tensor, "1 C H W"],
    maps: Mapping[str, Float[Tensor, "rows columns"]],
    *,
    answer: int,
    shares: Sequence[float] = SHARES,
    random_maps: int = 19,
    seed: int = 0,
) -> dict[str, Deletion]:
    """The deletion curves of maps of one image, judged against maps that know nothing of it.

    The patches of highest value go first; each is painted in the image's mean colour. The sooner the probability of the
    answer falls, the more the map knows of what it stands on. All maps are compared with the same random ones: half of
    them scattered, half in blobs as large as real maps have, because both do not harm a ViT alike; and with an even
    map, by which all patches fade together.

    Args:
        image: as the network takes it.
        maps: by name; only their order counts.
        answer: the class whose probability is watched.
        shares: of the patches that are taken away, beside none and all.
        random_maps: how many; 19 allow p = 0.05 for a single image.
        seed: of the random maps.

    Source: deletion as in V. Petsiuk, A. Das and K. Saenko (2018), RISE, arXiv:1806.07421, section 4.1; there patches
    are pixels, and nothing is compared with chance.
    """
    grid = reader.layers.grid
    patches = grid[0] * grid[1]
    orders = {name: _order(values) for name, values in maps.items()}
    chance = random_orders(grid, random_maps, seed=seed)
    colour = image.mean(dim=(2, 3), keepdim=True)
    every = np.array([0.0, *shares, 1.0])
    kept = [_kept(order, shares) for order in (*orders.values(), *chance)]
    faded = torch.from_numpy(1 - every).float().view(-1, 1).expand(-1, patches)
    probability = _probabilities(reader, image, torch.cat([faded, *kept]), colour, answer=answer)
    even, ways = probability[: len(every)], probability[len(every) :].reshape(len(kept), -1)
    curves = np.column_stack([np.full(len(ways), even[0]), ways, np.full(len(ways), even[-1])])
    random_areas = np.array([area_under(curve, every) for curve in curves[len(orders) :]])
    even_area = area_under(even, every)
    return {
        name: judged_deletion(curve, every, random_areas=random_areas, even_area=even_area)
        for name, curve in zip(orders, curves, strict=False)
    }


def random_orders(grid: tuple[int, int], count: int, *, seed: int) -> list[Int[np.ndarray, " patches"]]:
    """Orders of the patches by maps that know nothing, scattered and in blobs in turns; the same for the same seed."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        values = _blobs(random, grid) if number % 2 else random.normal(size=grid)
        found.append(np.argsort(-values, axis=None, kind="stable"))
    return found


def _blobs(random: np.random.Generator, grid: tuple[int, int]) -> Float[np.ndarray, "rows columns"]:
    """Noise with hills of about a quarter of the picture's height and width."""
    coarse = torch.from_numpy(random.normal(size=tuple(max(2, side // 4) for side in grid)))
    return interpolate(coarse[None, None], size=grid, mode="bilinear")[0, 0].numpy()


def _order(values: Float[Tensor, "rows columns"]) -> Int[np.ndarray, " patches"]:
    return np.argsort(-values.double().cpu().numpy(), axis=None, kind="stable")


def _kept(order: Int[np.ndarray, " patches"], shares: Sequence[float]) -> Float[Tensor, "S P"]:
    """For every share, 0 where a patch is taken away and 1 elsewhere."""
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order))
    return torch.tensor(np.stack([rank >= round(share * len(order)) for share in shares]), dtype=torch.float32)


def _probabilities(
    reader: AttentionReader, image: Tensor, kept: Float[Tensor, "M P"], colour: Tensor, *, answer: int
) -> Float[np.ndarray, "M"]:
    """The probability of the answer for every way of keeping patches, a few images at a time."""
    rows, columns = reader.layers.grid
    size = tuple(side * count for side, count in zip(reader.layers.patch, (rows, columns), strict=True))
    found: list[Tensor] = []
    for part in kept.to(image).split(AT_ONCE):
        masks = interpolate(part.view(-1, 1, rows, columns), size=size, mode="nearest")
        masks = masks[:, :, : image.shape[2], : image.shape[3]]
        found.append(reader.probabilities(colour + (image - colour) * masks)[:, answer])
    return torch.cat(found).cpu().numpy()
