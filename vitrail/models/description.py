"""What the `config.json` beside weights says, typed and bounded once; a stranger may have written it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from timm.models import PretrainedCfg, is_model
from timm.models._hub import _parse_model_cfg

from vitrail.basics.errors import SettingsError
from vitrail.basics.settings import Settings
from vitrail.basics.strict_json import strict_json
from vitrail.models.network_arguments import LARGEST_SIDE, MOST_CLASSES, checked_arguments
from vitrail.models.weights import PLACES

Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Size = tuple[Annotated[int, Field(ge=1, le=64)], Side, Side]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Positive = Annotated[float, Field(allow_inf_nan=False, ge=1e-6, le=1e6)]
Crop = Annotated[float, Field(allow_inf_nan=False, ge=0.05, le=2.0)]
Words = str | tuple[str, ...] | None


class WeightsDescription(Settings):
    """timm's `pretrained_cfg`, without the places where weights might be fetched from; what else it says is left out.

    Source: `timm.models.PretrainedCfg`, timm 1.0.31.
    """

    model_config = ConfigDict(extra="ignore")

    architecture: str | None = None
    tag: str | None = None
    custom_load: bool | str = False
    input_size: Size = (3, 224, 224)
    test_input_size: Size | None = None
    min_input_size: Size | None = None
    fixed_input_size: bool = False
    interpolation: str = "bicubic"
    crop_pct: Crop = 0.875
    test_crop_pct: Crop | None = None
    crop_mode: str = "center"
    mean: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=64)] = (0.485, 0.456, 0.406)
    std: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=64)] = (0.229, 0.224, 0.225)
    num_classes: Annotated[int, Field(ge=0, le=MOST_CLASSES)] = 1000
    label_offset: Annotated[int, Field(ge=0, le=MOST_CLASSES)] | None = None
    label_names: tuple[str, ...] | None = None
    label_descriptions: dict[str, str] | tuple[str, ...] | None = None
    pool_size: tuple[Side, ...] | None = None
    test_pool_size: tuple[Side, ...] | None = None
    first_conv: Words = None
    classifier: Words = None
    license: Words = None
    description: Words = None
    origin_url: Words = None
    paper_name: Words = None
    paper_ids: Words = None
    notes: Words = None


@dataclass(frozen=True)
class Description:
    """A `config.json` that timm may be called with."""

    architecture: str
    model_args: dict[str, Any]
    pretrained_cfg: dict[str, Any]
    """Every field of timm's `PretrainedCfg` but the places."""
    written: dict[str, Any]
    """The JSON as it stands in the file."""
    norm_epsilon: float | None = None
    """What layer norms add to a variance; None: what timm's network adds. timm itself has no argument for it."""


def description_of(content: bytes) -> Description:
    """Read a `config.json`.

    Raises:
        ValueError: it is no JSON, no description, or asks for what no description may ask; in words. An architecture
            that timm does not know is told as such by `checked_architecture`, not here.
    """
    written = strict_json(content)
    if not isinstance(written, dict):
        raise ValueError("an object was expected")
    if not isinstance(written.get("pretrained_cfg", {}), dict):
        raise ValueError("pretrained_cfg: an object was expected")
    checked_arguments(written.get("model_args") or {})
    plain = {**written, "model_args": written.get("model_args") or {}}
    try:
        described, architecture, model_args = _parse_model_cfg(_copied(plain), {})
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    if not isinstance(architecture, str):
        raise ValueError(f"architecture: a name was expected, got {architecture!r}")
    try:
        fields = WeightsDescription.parse(**{**described, "architecture": architecture})
    except SettingsError as error:
        raise ValueError(error.message) from None
    known = {name: value for name, value in asdict(PretrainedCfg()).items() if name not in PLACES}
    described = {**known, **fields.model_dump()}
    return Description(architecture, checked_arguments(model_args), described, written, _norm_epsilon(written))


def _norm_epsilon(written: Mapping[str, Any]) -> float | None:
    epsilon = written.get("norm_epsilon")
    if epsilon is None or (isinstance(epsilon, float) and 0 < epsilon <= 0.1):
        return epsilon
    raise ValueError(f"norm_epsilon is {epsilon!r}, a number above 0 and up to 0.1 was expected")


def is_plain_architecture(name: str) -> bool:
    """Whether this is a network's name in timm's own list: no tag, no prefix, no path."""
    return name.isidentifier() and is_model(name)


def _copied(value: Any) -> Any:
    """timm changes what it is given."""
    if isinstance(value, Mapping):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value
