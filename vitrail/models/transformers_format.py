"""Folders of the transformers library: which network a `config.json` of ViT, DeiT or DINOv2 means in timm's words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from timm.models import PretrainedCfg, is_model

from vitrail.basics.errors import InputError, SettingsError
from vitrail.basics.settings import Settings
from vitrail.models.description import Side, WeightsDescription
from vitrail.models.network_arguments import MOST_CLASSES, checked_arguments
from vitrail.models.transformers_pictures import described_pictures
from vitrail.models.weights import PLACES

PICTURES = "preprocessor_config.json"
"""The file beside `config.json` that says how pictures are shown."""
_READ = {
    "vit": ("ViTForImageClassification", "ViTModel"),
    "deit": ("DeiTForImageClassification", "DeiTForImageClassificationWithTeacher", "DeiTModel"),
    "dinov2": ("Dinov2Model", "Dinov2ForImageClassification"),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", "Dinov2WithRegistersForImageClassification"),
}
"""Architectures that are read, by `model_type`."""
_ACTIVATIONS = {
    "gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "quick_gelu": "quick_gelu", "relu": "relu", "silu": "silu", "swish": "silu",
}  # fmt: skip
_SIZES = {192: "tiny", 384: "small", 768: "base", 1024: "large", 1280: "huge"}
_TIMM_EPSILON = 1e-6
"""What timm's plain ViT adds to a variance; source: `LayerNorm` of timm 1.0.31."""
_MOST = 65_536
Whole = Annotated[int, Field(ge=1, le=_MOST)]
Sides = Side | tuple[Side, Side]


class NetworkConfig(Settings):
    """What a `config.json` of the transformers library says of a network; what concerns training only is left out.

    Defaults are those of ViTConfig, DeiTConfig and Dinov2Config of transformers 5.23, which leaves them out where it
    writes.
    """

    model_config = ConfigDict(extra="ignore")

    model_type: Literal["vit", "deit", "dinov2", "dinov2_with_registers"]
    hidden_size: Whole = 768
    num_hidden_layers: Annotated[int, Field(ge=1, le=1000)] = 12
    num_attention_heads: Whole = 12
    head_dim: Whole | None = None
    intermediate_size: Whole = 3072
    mlp_ratio: Annotated[float, Field(gt=0, le=64)] = 4
    hidden_act: str = "gelu"
    layer_norm_eps: Annotated[float, Field(gt=0, le=0.1)]
    image_size: Sides = 224
    patch_size: Sides
    num_channels: Literal[1, 3] = 3
    qkv_bias: bool = True
    use_swiglu_ffn: bool = False
    num_register_tokens: Annotated[int, Field(ge=0, le=1024)] = 4
    id2label: dict[int, str] = Field(default_factory=lambda: {0: "LABEL_0", 1: "LABEL_1"}, max_length=MOST_CLASSES)


@dataclass(frozen=True)
class TransformersModel:
    """A network of the transformers library, described for timm."""

    written_by: str
    """The class that wrote the weights, e.g. `ViTForImageClassification`."""
    config: NetworkConfig
    architecture: str
    """timm's name of a network whose arguments are all overridden."""
    model_args: dict[str, Any]
    pretrained_cfg: dict[str, Any]
    norm_epsilon: float | None
    """What norms add to a variance, where that is not what timm's network adds."""

    @property
    def classifiers(self) -> dict[str, str]:
        """timm's classifiers by the names they have in the file."""
        if self.written_by.endswith("WithTeacher"):
            return {"cls_classifier": "head", "distillation_classifier": "head_dist"}
        return {"classifier": "head"} if self.pretrained_cfg["num_classes"] else {}

    @property
    def sides(self) -> tuple[int, int]:
        """(height, width) in pixels that the position table belongs to."""
        return _pair(self.config.image_size)


def is_of_transformers(written: Any) -> bool:
    """Whether a parsed `config.json` was written by the transformers library for a network of its own.

    Its wrapper of timm's networks writes timm's description into the same file.
    """
    return isinstance(written, Mapping) and "model_type" in written and "architecture" not in written


def transformers_model(written: Mapping[str, Any], pictures: bytes, *, shown: str) -> TransformersModel:
    """The network that a `config.json` and its `preprocessor_config.json` describe.

    Args:
        written: the parsed `config.json`.
        pictures: content of the `preprocessor_config.json`.
        shown: name of the `config.json`, for errors.

    Raises:
        InputError: another network than ViT, DeiT or DINOv2, or a value that timm's network has no place for.
    """
    name = written_by(written, shown=shown)
    try:
        config = _parsed(written)
        args = checked_arguments(_arguments(config, name))
    except (ValueError, SettingsError) as error:
        told = error.message if isinstance(error, InputError) else str(error)
        raise InputError(
            f"{shown}: this {name} of the transformers library is not read here ({told})",
            hint="choose another model, or timm's own of this network",
        ) from None
    try:
        seen = described_pictures(pictures, channels=config.num_channels, image_size=_pair(config.image_size))
        described = _described(config, name, seen)
    except (ValueError, SettingsError) as error:
        told = error.message if isinstance(error, InputError) else str(error)
        raise InputError(
            f"{shown.rpartition('/')[0]}/{PICTURES} is not understood: {told}",
            hint="it says how pictures are resized, cropped and normalised; save_pretrained of the model's image "
            "processor writes it",
        ) from None
    epsilon = None if config.layer_norm_eps == _TIMM_EPSILON else config.layer_norm_eps
    return TransformersModel(name, config, _architecture(config, name), args, described, epsilon)


def written_by(written: Mapping[str, Any], *, shown: str) -> str:
    """The class of the transformers library that wrote a `config.json`.

    Raises:
        InputError: it is none that is read here, or is not named.
    """
    named = written.get("architectures")
    name = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else None
    if name in _READ.get(str(written.get("model_type")), ()):
        return str(name)
    known = ", ".join(each for names in _READ.values() for each in names)
    kind = f"{name or 'a network without a name (architectures is missing)'}, model_type {written.get('model_type')!r},"
    raise InputError(
        f"{shown} describes {kind} of the transformers library; read are {known}",
        hint="timm has most networks under names of its own: timm.list_pretrained() in Python lists them",
    )


def _parsed(written: Mapping[str, Any]) -> NetworkConfig:
    is_dino = str(written["model_type"]).startswith("dinov2")
    usual = {"layer_norm_eps": 1e-6, "patch_size": 14} if is_dino else {"layer_norm_eps": 1e-12, "patch_size": 16}
    config = NetworkConfig.parse(**usual | {name: value for name, value in written.items() if value is not None})
    width, heads = config.hidden_size, config.num_attention_heads
    if width % heads or config.head_dim not in (None, width // heads):
        raise ValueError(f"a hidden_size of {width} with {heads} heads of {config.head_dim or width / heads:g} values")
    if not config.use_swiglu_ffn and config.hidden_act not in _ACTIVATIONS:
        raise ValueError(f"hidden_act {config.hidden_act!r}; one of {', '.join(_ACTIVATIONS)} was expected")
    if sorted(config.id2label) != list(range(len(config.id2label))):
        raise ValueError("id2label does not number its classes from 0 without gaps")
    return config


def _arguments(config: NetworkConfig, name: str) -> dict[str, Any]:
    """Arguments of timm's `VisionTransformer`; all that its entries set otherwise is given."""
    is_dino = config.model_type.startswith("dinov2")
    width = config.hidden_size
    args: dict[str, Any] = {
        "patch_size": config.patch_size if isinstance(config.patch_size, int) else list(config.patch_size),
        "embed_dim": width,
        "depth": config.num_hidden_layers,
        "num_heads": config.num_attention_heads,
        "mlp_ratio": _ratio(_hidden_width(config), width),
        "qkv_bias": config.qkv_bias,
        "init_values": 1.0 if is_dino else None,
        "global_pool": "token",
    }
    if not config.use_swiglu_ffn and _ACTIVATIONS[config.hidden_act] != "gelu":  # which is timm's own
        args["act_layer"] = _ACTIVATIONS[config.hidden_act]
    if config.num_channels != 3:
        args["in_chans"] = config.num_channels
    if config.model_type == "dinov2_with_registers":
        args |= {"reg_tokens": config.num_register_tokens, "no_embed_class": True}
    if config.model_type == "deit" and not name.endswith("WithTeacher"):
        args["reg_tokens"] = 1  # its distillation token takes part, but no classifier stands on it
    return args


def _hidden_width(config: NetworkConfig) -> int:
    """Values between the two layers of an MLP; for SwiGLU those of both its halves."""
    if not config.model_type.startswith("dinov2"):
        return config.intermediate_size
    hidden = int(config.hidden_size * config.mlp_ratio)
    return 2 * ((int(hidden * 2 / 3) + 7) // 8 * 8) if config.use_swiglu_ffn else hidden


def _ratio(hidden: int, width: int) -> float:
    """What timm multiplies the width by and rounds down."""
    return hidden / width if int(width * (hidden / width)) == hidden else (hidden + 0.5) / width


def _architecture(config: NetworkConfig, name: str) -> str:
    """The timm entry of this size where there is one, else one of the same kind."""
    patch = _pair(config.patch_size)[0]
    size = _SIZES.get(config.hidden_size, "none")
    if config.model_type.startswith("dinov2"):
        registers = "_reg4" if config.model_type == "dinov2_with_registers" else ""
        size = "giant" if config.use_swiglu_ffn else size
        wanted, usual = f"vit_{size}_patch14{registers}_dinov2", f"vit_base_patch14{registers}_dinov2"
    elif name.endswith("WithTeacher"):
        wanted, usual = f"deit_{size}_distilled_patch16_224", "deit_base_distilled_patch16_224"
    else:
        wanted, usual = f"vit_{size}_patch{patch}_224", "vit_base_patch16_224"
    return wanted if is_model(wanted) else usual


def _described(config: NetworkConfig, name: str, seen: dict[str, Any]) -> dict[str, Any]:
    """timm's description of the weights.

    DINOv2's own classifier stands on the class token beside the mean of the patches; timm's network has no such head.
    """
    has_classifier = "ForImageClassification" in name and not name.startswith("Dinov2")
    labels = tuple(config.id2label[number] for number in sorted(config.id2label))
    is_named = has_classifier and any(label != f"LABEL_{number}" for number, label in enumerate(labels))
    fields = WeightsDescription.parse(
        **seen,
        fixed_input_size=True,
        num_classes=len(labels) if has_classifier else 0,
        label_names=labels if is_named else None,
        first_conv="patch_embed.proj",
        classifier=("head", "head_dist") if name.endswith("WithTeacher") else "head",
    )
    known = {field: value for field, value in asdict(PretrainedCfg()).items() if field not in PLACES}
    return {**known, **fields.model_dump()}


def _pair(sides: int | tuple[int, int]) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else sides
