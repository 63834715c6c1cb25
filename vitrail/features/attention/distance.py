"""How far attention reaches: the mean distance between a patch and what it attends to, for every head and layer."""

import torch
from jaxtyping import Float
from torch import Tensor


def patch_distances(grid: tuple[int, int]) -> Float[Tensor, "P P"]:
    """Euclidean distance between the middles of any two patches of a grid (rows, columns), in patches; row by row."""
    rows, columns = grid
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = torch.stack([row.flatten(), column.flatten()], dim=1).double()
    return torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")


def attention_distance(
    attention: Float[Tensor, "B N T T"], grid: tuple[int, int], *, prefix: int
) -> Float[Tensor, "B N"]:
    """Mean distance that patches look, in patches: Σ_j A_ij · |p_i − p_j|, averaged over all patches i.

    Class and register tokens lie nowhere: their rows and columns are left out, and what is left of each row is made to
    sum to 1 again; without that, heads that look at the class token would seem to look near. A patch that looks at such
    tokens alone has no distance and is left out.

    Args:
        attention: of one layer, heads apart.
        grid: rows and columns of patches.
        prefix: tokens before the patches.

    Source: section 4.5 and figure 7 of "An Image is Worth 16x16 Words" (arXiv:2010.11929), as its authors define it in
    google-research/vision_transformer#162. Uniform attention on 14 × 14 patches gives 7.2808.

    >>> round(attention_distance(torch.full((1, 1, 4, 4), 0.25), (2, 2), prefix=0).item(), 6)
    0.853553
    """
    patches = attention[:, :, prefix:, prefix:].double()
    total = patches.sum(dim=-1)
    weighted = (patches * patch_distances(grid).to(patches.device)).sum(dim=-1)
    return torch.where(total > 0, weighted / total, torch.nan).nanmean(dim=-1)
