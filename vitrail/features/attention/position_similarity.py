"""What a ViT has learned of places: how similar the position embedding of each patch is to that of every other."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from vitrail.basics.errors import InputError

_TABLES = (
    "pos_embed", "embeds.pos_embed", "encoder.pos_embedding", "embeddings.position_embeddings",
    "embeddings.position_embedding.weight",
)  # fmt: skip
"""Where timm (plain and NaFlex), torchvision and Hugging Face keep them; of the last, below any prefix."""


def position_similarity(model: nn.Module) -> Float[Tensor, "rows columns rows columns"]:
    """Cosine similarity, -1 to 1, of every patch's position embedding to those of all patches; NaN where one is 0.

    Class and register tokens stand at the front of the table, where it holds them, and are left out.

    Args:
        model: a ViT with a table of absolute positions, learned or of sines; on the grid that its table has.

    Raises:
        InputError: it has no such table (its positions are relative or rotary, say), or that is no grid.

    Source: figure 7 (centre) of "An Image is Worth 16x16 Words" (arXiv:2010.11929).
    """
    table, grid = _table(model)
    unit = table / table.norm(dim=1, keepdim=True)
    return (unit @ unit.T).unflatten(0, grid).unflatten(2, grid).float()


def _table(model: nn.Module) -> tuple[Float[Tensor, "P D"], tuple[int, int]]:
    found = _named(model)
    if found is None:
        raise InputError(
            f"{type(model).__name__} has no table of absolute positions: they are relative, rotary, or there are none",
            hint="plain ViT, DeiT, DINO and DINOv2 have one",
        )
    table = found.detach().double().cpu()
    if table.ndim == 4:  # NaFlexVit keeps the grid: (1, rows, columns, D)
        return table[0].flatten(0, 1), (table.shape[1], table.shape[2])
    table = table.reshape(-1, table.shape[-1])
    grid = _grid(model, len(table))
    return table[len(table) - grid[0] * grid[1] :], grid


def _named(model: Any) -> Tensor | None:
    parts = [model, *(module for name, module in model.named_modules() if name.count(".") == 0)]
    for part in parts:
        for path in _TABLES:
            found = part
            for name in path.split("."):
                found = getattr(found, name, None)
            if isinstance(found, Tensor) and found.ndim >= 2 and found.numel():
                return found
    return None


def _grid(model: Any, rows: int) -> tuple[int, int]:
    """Rows and columns of a table's patches; the rest, at the front, are prefix tokens."""
    stated = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    if stated is not None and 0 <= rows - stated[0] * stated[1] <= 16:
        return int(stated[0]), int(stated[1])
    side = int(rows**0.5)
    if 0 <= rows - side * side <= 16:
        return side, side
    raise InputError(f"{rows} positions of {type(model).__name__} are no square grid", hint="give the model as timm's")
