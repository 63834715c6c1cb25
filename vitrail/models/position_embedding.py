"""Position embeddings that timm's plain ViT lacks: two-dimensional factorised, and relative."""

from typing import Any

import torch
from jaxtyping import Float
from timm.layers.mlp import Mlp
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vitrail.basics.errors import InputError

RELATIVE_ARCHITECTURE = "vit_relpos_base_patch16_224"
"""The timm entry whose arguments are overridden to build a relative ViT of any size."""
_HINT = "use --position weights, or a plain ViT such as vit_tiny_patch16_224"


class FactorisedPositions(nn.Module):
    """A position table whose patch part is one embedding per column beside one per row.

    Source: appendix D.4 of "An Image is Worth 16x16 Words" (arXiv 2010.11929): X and Y embeddings of half the width
    each, concatenated. Used as a `torch.nn.utils.parametrize` parametrisation of a ViT's `pos_embed`.

    Args:
        height, width: patches per column and per row of the table.
        prefix_tokens: class, distillation and register tokens at the front of the table, kept as they are.
    """

    def __init__(self, height: int, width: int, *, prefix_tokens: int) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.prefix_tokens = prefix_tokens

    def forward(
        self,
        columns: Float[Tensor, "W half"],
        rows: Float[Tensor, "H other_half"],
        prefix: Float[Tensor, "1 prefix D"] | None = None,
    ) -> Float[Tensor, "1 T D"]:
        """The full table: prefix tokens, then the patches row by row."""
        wide = columns[None, :, :].expand(self.height, -1, -1)
        high = rows[:, None, :].expand(-1, self.width, -1)
        patches = torch.cat([wide, high], dim=-1).reshape(1, self.height * self.width, -1)
        return patches if prefix is None else torch.cat([prefix, patches], dim=1)

    def right_inverse(self, table: Float[Tensor, "1 T D"]) -> tuple[Tensor, ...]:
        """The nearest factorised table in the least-squares sense: each half averaged over the other axis."""
        half = table.shape[-1] // 2
        grid = table[0, self.prefix_tokens :].reshape(self.height, self.width, -1)
        parts = (grid[..., :half].mean(dim=0), grid[..., half:].mean(dim=1))
        return (*parts, table[:, : self.prefix_tokens].clone()) if self.prefix_tokens else parts


def use_factorised_position(model: Any, *, from_table: bool) -> None:
    """Replace a ViT's learned table by a two-dimensional factorised one; `pos_embed` stays its name when read.

    Args:
        model: a timm `VisionTransformer` (hybrids and distilled ones too) with a learned position table.
        from_table: start from the table the model holds (averaged per axis); otherwise from noise of
            standard deviation 0.02, as timm starts a table.

    Raises:
        InputError: the model has no learned position table.
    """
    if not has_position_table(model):
        raise InputError(f"{type(model).__name__} has no learned position table to make two-dimensional", hint=_HINT)
    prefix_tokens = 0 if model.no_embed_class else model.num_prefix_tokens
    height, width = model.patch_embed.grid_size
    positions = FactorisedPositions(height, width, prefix_tokens=int(prefix_tokens))
    parametrize.register_parametrization(model, "pos_embed", positions)
    if not from_table:
        originals = model.parametrizations["pos_embed"]
        for part in (originals.original0, originals.original1):
            nn.init.trunc_normal_(part, std=0.02)


def fold_position(model: nn.Module) -> None:
    """Turn a factorised position table back into an ordinary one, in place: same values, so bit-equal logits.

    A model without a factorised table is left as it is.
    """
    if parametrize.is_parametrized(model, "pos_embed"):
        parametrize.remove_parametrizations(model, "pos_embed", leave_parametrized=True)


def folded_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's state as timm names it: as `fold_position` would leave it, without touching the model."""
    state = model.state_dict()
    if parametrize.is_parametrized(model, "pos_embed"):
        state = {name: tensor for name, tensor in state.items() if not name.startswith("parametrizations.")}
        table: Any = model.pos_embed
        state["pos_embed"] = table.detach()
    return state


def has_position_table(model: nn.Module) -> bool:
    """Whether the model is a ViT of timm with a learned table of absolute positions."""
    return isinstance(model, VisionTransformer) and isinstance(model.pos_embed, nn.Parameter)


def relative_model_args(model: nn.Module) -> dict[str, Any]:
    """Arguments that make `RELATIVE_ARCHITECTURE` a ViT like `model`, with relative positions instead of a table.

    Class token, width, depth, heads, patch and MLP stay; register tokens and other extras are refused.

    Raises:
        InputError: `model` is more than a plain ViT.

    Source: `VisionTransformerRelPos` with `RelPosBias` (Swin's bias table), timm 1.0.31.
    """
    first: Any = model.blocks[0] if isinstance(model, VisionTransformer) else None
    if not (
        type(model) is VisionTransformer
        and type(model.patch_embed) is PatchEmbed
        and type(first) is Block
        and not model.num_reg_tokens
        and isinstance(model.norm_pre, nn.Identity)
        and model.attn_pool is None
        and type(first.mlp) is Mlp
        and type(first.mlp.act) is nn.GELU
    ):
        raise InputError(f"{type(model).__name__} cannot take relative positions, only a plain ViT can", hint=_HINT)
    return {
        "img_size": list(model.patch_embed.img_size),
        "patch_size": model.patch_embed.patch_size[0],
        "embed_dim": model.embed_dim,
        "depth": len(model.blocks),
        "num_heads": first.attn.num_heads,
        "mlp_ratio": first.mlp.fc1.out_features / model.embed_dim,
        "qkv_bias": first.attn.qkv.bias is not None,
        "qk_norm": not isinstance(first.attn.q_norm, nn.Identity),
        # Zero means no layer scale; None would let the entry's own 1e-5 stand and silence pretrained blocks.
        "init_values": float(first.ls1.gamma[0]) if hasattr(first.ls1, "gamma") else 0.0,
        "class_token": model.has_class_token,
        "global_pool": model.global_pool,
        "fc_norm": not isinstance(model.fc_norm, nn.Identity),
        "rel_pos_type": "bias",
    }
