"""What a description that came with weights may ask timm to build: known arguments, each of its kind and within bounds.

`timm.create_model` obeys every argument it is handed: `pretrained` and `checkpoint_path` make it fetch and read files,
`features_only` makes another kind of model. What a stranger's `config.json` says is therefore not passed on unless it
stands here.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

LARGEST_SIDE = 4096
"""Pixels of an image's side that a network is built for."""
MOST_CLASSES = 1_000_000
_MOST_LAYERS = 1000
_LARGEST_NUMBER = 65_536
_LONGEST_LIST = 64
_WORD = re.compile(r"[\w.-]{0,40}")

_SWITCHES = frozenset("""
    aa_stem_only abs_win_pos_embed always_partition attn_mlp attn_only_layer_scale avg_down bidirectional
    channel_attention channel_attn_v2 class_token conv_bias conv_mlp cpe_act crop_scale distilled downsample_block
    downsamples dynamic_img_pad dynamic_img_size extra_norm_stage fc_norm ffn final_norm fix_init fix_stem fused_conv
    fused_downsample head_bias head_norm head_norm_first input_3x3 legacy lkc_use_act mask_unit_attn mlp_bias multi_conv
    named_blocks nlhb no_embed_class normalize_modulator outlook_attention patch_norm pool_include_prefix pre_norm
    preact proj_bias qk_norm qkv_bias qkv_fused reparam replace_stem_pool rope_rotate_half scale_attn_inner
    scale_attn_norm scale_mlp scale_mlp_norm se_downsamples se_from_exp sep_pos_embed sequential_attn shared_rel_pos
    shortcut_root small_kernels standardize stem_bias stem_mid_norm stem_norm stem_use_scale_branch strict_img_size
    swiglu_mlp tokens_norm use_abs_pos use_abs_pos_emb use_aux_head use_clipped_linears use_expand_proj use_fc_norm
    use_grn use_lab use_layer_scale use_mlp_head use_msfa use_overlap_down use_pos_emb use_pos_embed use_post_norm
    use_post_norm_in_modulation use_post_transformer_norm use_pre_transformer_norm use_rel_pos use_rel_pos_bias use_rope
    use_rot_pos_emb use_shared_rel_pos_bias v2 vit_stem zero_init_last
""".split())  # fmt: skip
_NUMBERS = frozenset("""
    attn_drop_rate attn_groups attn_head_dim_reduction attn_mlp_ratio attn_pool_mlp_ratio attn_pool_num_heads attn_ratio
    base_dim base_dims base_width block_reduce_first bottle_ratio bottleneck_width_ratio cardinality ch_div
    channel_multiplier channels cls_attn_layers cls_ratio conv_ratio crpe_window deepen_factor depth depth_mult
    depth_multiplier depth_token_only depths dim dims dim_mul down_kernel_size down_pad down_patch_size down_stride
    downsample_kernel_size downsample_padding downsample_ratio drop_block_rate drop_path_rate drop_rate embed_dim
    embed_dims eta expand_groups expand_ratio expansion_ratio feature_dim ffn_ratio first_stride focal_levels
    focal_windows global_att_blocks global_attn_indexes global_block_counts global_pos_size groups growth_rate head_dim
    head_hidden_size head_init_scale head_mul heads hidden_sizes img_scale img_size in_chans init_channels init_values
    inner_dim inplanes intermediate_size kernel_size kernel_sizes key_dim layer_scale layer_scale_init_value
    layer_scale_init_values layers layerscale_value local_conv_size local_up_to_layer locality_strength ls_init_value
    mask_unit_size mbconv_expand_ratio merge_size mlp_ratio mlp_ratio_token_only mlp_ratios neck_chans norm_eps
    num_blocks num_classes num_features num_heads num_heads_inner num_heads_outer num_init_features num_kv_heads
    num_levels num_reg_tokens num_vit output_stride parallel_depth partial_dim patch_drop_rate patch_kernel
    patch_padding patch_size patch_sizes patch_stride pool_size pos_drop_rate pos_embed_grid_size pretrained_window_size
    pretrained_window_sizes proj_drop_rate q_pool q_stride qk_dim ref_feat_shape reg_tokens rel_pos_dim
    repmixer_kernel_size res_scale_init_values rope_grid_offset rope_temperature rope_theta se_ratio serial_depths
    sr_ratios stem_chs stem_kernel_size stem_size stem_stride stem_width strides swiglu_align_to transformer_depths
    widen_factor width width_factor width_mult widths window_ratio window_size window_sizes window_spec
""".split())  # fmt: skip
_WORDS = frozenset("""
    act_layer attn_type attn_types down_op downsample encoder_pool feature_location global_pool norm_layer pad_type
    pos_embed rel_pos_type rope_grid_indexing rope_type stem_type version weight_init
""".split())  # fmt: skip
_LAYER_COUNTS = frozenset("""
    cls_attn_layers depth depth_token_only depths global_block_counts layers num_blocks num_vit parallel_depth
    serial_depths transformer_depths
""".split())  # fmt: skip


def checked_arguments(arguments: Any) -> dict[str, Any]:
    """The arguments as they are, when timm may be called with them.

    Raises:
        ValueError: one that is not known, not of its kind, or out of bounds; the text names it.
    """
    if not isinstance(arguments, Mapping):
        raise ValueError(f"model_args is {_shown(arguments)}, an object was expected")
    for name, value in arguments.items():
        fault = _fault(name, value)
        if fault:
            raise ValueError(f"model_args.{name} is {_shown(value)}, {fault}")
    return dict(arguments)


def _fault(name: str, value: Any) -> str | None:
    if name not in _SWITCHES | _NUMBERS | _WORDS:
        return "which is not among the arguments that a description may give"
    values = list(_flat(value))
    if len(values) > _LONGEST_LIST:
        return f"at most {_LONGEST_LIST} values were expected"
    if name in _SWITCHES:
        return None if all(isinstance(each, bool) for each in values) else "true or false was expected"
    if name in _WORDS:
        fine = all(isinstance(each, str) and _WORD.fullmatch(each) for each in values)
        return None if fine else "a word was expected"
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        return "a number was expected"
    return _out_of_bounds(name, values)


def _out_of_bounds(name: str, numbers: list[Any]) -> str | None:
    lowest, highest = -_LARGEST_NUMBER, _LARGEST_NUMBER
    if name in ("img_size", "in_chans", "patch_size"):
        lowest, highest = 1, LARGEST_SIDE
    elif name == "num_classes":
        lowest, highest = 0, MOST_CLASSES
    elif name in _LAYER_COUNTS:
        lowest, highest = 0, _MOST_LAYERS
    elif name.endswith("_rate") and name != "growth_rate":
        lowest, highest = 0, 1
    if all(math.isfinite(number) and lowest <= number <= highest for number in numbers):
        too_many = name in _LAYER_COUNTS and sum(numbers) > _MOST_LAYERS
        return f"at most {_MOST_LAYERS} layers were expected" if too_many else None
    return f"{lowest:,} to {highest:,} was expected"


def _flat(value: Any, depth: int = 0) -> Iterator[Any]:
    """What lists of lists hold; nothing where no value is given (timm leaves out what is None)."""
    if isinstance(value, list | tuple) and depth < 3:
        for each in value:
            yield from _flat(each, depth + 1)
    elif value is not None:
        yield value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
