"""The order of a model's layers, stated once: stem, block 1…n, norm, head. Every other part asks here."""

from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Float
from timm.models._manipulate import group_parameters
from torch import Tensor, nn

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.models.classifiers import branches_of
from vitrail.models.families import Run, Step, steps_of, why_not_in_parts

_POSITION_NAMES = ("pos_embed", "cls_token", "dist_token", "reg_token", "relative_position_bias_table")


Kind = Literal["stem", "block", "norm", "head"]


@dataclass(frozen=True)
class LayerGroup:
    """Layers that are frozen, trained and cached together."""

    name: str
    """`stem`, `block 1` … `block n`, `norm` or `head`."""
    parameters: tuple[str, ...]
    """Full names, as in `model.named_parameters()`."""
    gives: tuple[str, ...] = ()
    """Modules whose own output is, bit for bit, what the group returns; empty where none's is."""

    @property
    def kind(self) -> Kind:
        """What sort of layers these are."""
        return self.name.split(" ")[0]  # type: ignore[return-value]


@dataclass(frozen=True)
class LayerOrder:
    """A model's groups in running order, and the means to run a part of them.

    `norm` is there only when the model normalises before its head; a head without classifier may hold no parameters.
    """

    groups: tuple[LayerGroup, ...]
    no_weight_decay: frozenset[str]
    """Parameters that weight decay must leave alone: biases, norms, positions, tokens, and the model's own list."""
    can_run: bool
    """Whether the groups can be run one by one."""
    why_not: str | None
    """The reason, where they cannot."""
    _runs: tuple[Run, ...] = field(default=(), repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The groups' names in running order."""
        return tuple(group.name for group in self.groups)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Places of the blocks, in running order."""
        return tuple(place for place, group in enumerate(self.groups) if group.kind == "block")

    def index(self, group: str | int) -> int:
        """Place of a group, counted from 0; `len(groups)` is the place behind the last one.

        Raises:
            InputError: there is no such group.
        """
        if isinstance(group, int):
            if 0 <= group <= len(self.groups):
                return group
            raise InputError(
                f"layer group {group} does not exist, 0 to {len(self.groups)} were expected", hint=self._known()
            )
        if group not in self.names:
            raise InputError(
                f"there is no layer group {group!r}", hint=did_you_mean(group, self.names) or self._known()
            )
        return self.names.index(group)

    def run(
        self, x: Float[Tensor, " B *state"], from_group: str | int = 0, to_group: str | int | None = None
    ) -> Float[Tensor, " B *result"]:
        """Run the groups from `from_group` up to, but without, `to_group`.

        Chained over all groups this is the model's own `forward`, bit for bit in eval mode, and in train mode from
        the same random state. `run(x, "stem", "head")` gives what `model.forward_head` takes.

        Args:
            x: images for the stem, otherwise what the group before `from_group` returned.
            from_group: name or place of the first group to run.
            to_group: name or place of the first group not to run; None runs to the end.

        Raises:
            InputError: an unknown group, groups in the wrong order, or a model that cannot be run in parts.
        """
        if not self.can_run:
            raise InputError(
                f"this model cannot be run in parts: {self.why_not}", hint="train without the prefix cache"
            )
        first = self.index(from_group)
        end = len(self.groups) if to_group is None else self.index(to_group)
        if end < first:
            raise InputError(
                f"layer group {to_group!r} comes before {from_group!r}, a later one was expected", hint=self._known()
            )
        for run in self._runs[first:end]:
            x = run(x)
        return x

    def _known(self) -> str:
        return f"the groups are {', '.join(self.names)}"


def layer_order(model: nn.Module) -> LayerOrder:
    """State the order of `model`'s layers.

    ViT (with registers, distilled, hybrid, relative or two-dimensional positions), Swin, PVT v2, ConvNeXt and ResNet
    can be run in parts; any other model of timm is grouped by its own `group_matcher` and only grouped.

    Raises:
        InputError: the model is none of timm's.
    """
    reason = why_not_in_parts(model)
    steps = () if reason else steps_of(model)
    groups = tuple(LayerGroup(step.name, _owned(step, model), step.gives) for step in steps)
    missing = {name for name, _ in model.named_parameters()} - {name for group in groups for name in group.parameters}
    if reason is None and missing:
        reason = f"{type(model).__name__} has parameters outside the known order: {', '.join(sorted(missing))}"
    if reason is not None:
        return LayerOrder(_matched_groups(model), _undecayed(model), can_run=False, why_not=reason)
    runs = tuple(step.run for step in steps)
    return LayerOrder(groups, _undecayed(model), can_run=True, why_not=None, _runs=runs)


def _owned(step: Step, model: nn.Module) -> tuple[str, ...]:
    inside = tuple(f"{owner}." for owner in step.owns)
    return tuple(name for name, _ in model.named_parameters() if name in step.owns or name.startswith(inside))


def _matched_groups(model: nn.Module) -> tuple[LayerGroup, ...]:
    """Groups from timm's own matcher: what it calls the first layer is the stem, what it does not name the head."""
    matcher = getattr(model, "group_matcher", None)
    if matcher is None and hasattr(model, "forward_head"):
        return _registered_groups(model)
    if matcher is None:
        raise InputError(
            f"{type(model).__name__} does not say how its layers follow each other (group_matcher)",
            hint="use a model of timm: timm.list_models() in Python lists them",
        )
    by_layer: dict[int, list[str]] = {}
    for name, layer in group_parameters(model, matcher(coarse=False), reverse=True).items():
        by_layer.setdefault(layer, []).append(name)
    ordered = [by_layer[layer] for layer in sorted(by_layer)]
    has_head = len(ordered) > 1 and getattr(model, "num_classes", 0) > 0
    blocks = [f"block {index}" for index in range(1, len(ordered) - int(has_head))]
    names = ["stem", *blocks, *(["head"] if has_head else [])]
    return tuple(LayerGroup(name, tuple(members)) for name, members in zip(names, ordered, strict=True))


def _registered_groups(model: nn.Module) -> tuple[LayerGroup, ...]:
    """Groups of a network of timm that has no matcher (PiT, PoolFormer): its children, in the order it lists them.

    What the first list of several layers holds, and all lists behind it, are blocks; what comes before is the stem,
    what comes behind, and whatever holds the classifier, the head.
    """
    classifier = {
        id(parameter) for branch in branches_of(model) for layer in branch.layers for parameter in layer.parameters()
    }
    stem = [name for name, _ in model.named_parameters(recurse=False)]
    blocks: list[list[str]] = []
    head: list[str] = []
    for name, child in model.named_children():
        inside = dict(child.named_parameters(prefix=name))
        layers = [
            [f"{name}.{own}.{each}" for each, _ in part.named_parameters()] for own, part in child.named_children()
        ]
        layers = [layer for layer in layers if layer]
        is_head = any(id(parameter) in classifier for parameter in inside.values())
        if isinstance(child, nn.Sequential | nn.ModuleList) and len(layers) > 1 and not is_head:
            blocks += layers
        else:
            (head if is_head or blocks else stem).extend(inside)
    known = [("stem", stem), *((f"block {index}", each) for index, each in enumerate(blocks, start=1)), ("head", head)]
    return tuple(LayerGroup(name, tuple(members)) for name, members in known if members)


def _undecayed(model: Any) -> frozenset[str]:
    """Source: the rule of timm 1.0.31's `param_groups_weight_decay`, extended to position tables."""
    own = set(model.no_weight_decay()) if hasattr(model, "no_weight_decay") else set()
    return frozenset(
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim <= 1
        or name in own
        or name.rpartition(".")[2] in _POSITION_NAMES
        or name.startswith("parametrizations.pos_embed.")
    )
