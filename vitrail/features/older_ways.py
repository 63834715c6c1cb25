"""Three ways by which features were taken before there were extractors; each gives the node's tensor, or refuses.

All of them read, as extractors do: in evaluation mode and without gradients, whatever mode the model is in.

`docs/older_ways.md` says what each computes too much, and where it breaks.
"""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.features.extractor import FeatureExtractor, create_feature_extractor
from vitrail.features.outputs import one_tensor
from vitrail.features.routes.hooks import HooksRoute, capture
from vitrail.models.modes import in_modes


def tail_replaced_by_identity(model: nn.Module, node: str, example: Tensor) -> nn.Module:
    """A model whose modules behind a node do nothing: what `model.fc = nn.Identity()` does, for any number of them.

    The result shares its parameters with `model`, which stays as it is.

    Args:
        model: any module of PyTorch.
        node: name of a module.
        example: what the model takes, e.g. images (B, C, H, W); tells what runs behind the node, and checks the result.

    Raises:
        InputError: no module of this name, or something that is not a module happens behind it (flattening, say, or
            taking the class token), so that another tensor would come out.
    """
    expected, behind = _expected(model, node, example), _first_called_behind(model, node, example)
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    cut = copy.deepcopy(model, shared)
    for name in behind:
        above, _, last = name.rpartition(".")
        setattr(cut.get_submodule(above), last, nn.Identity())
    way = f"replacing what runs behind {node!r} by nn.Identity"
    return _verified(_Reading(cut), example, expected, way, "the forward between these modules still runs")


def layers_in_sequence(model: nn.Module, node: str, example: Tensor) -> nn.Module:
    """The model's layers up to a node as an `nn.Sequential`, in the order in which they were defined.

    The result shares its layers with `model`.

    Args:
        model: any module of PyTorch.
        node: name of a module; containers around it are opened.
        example: what the model takes, e.g. images (B, C, H, W); checks the result.

    Raises:
        InputError: no module of this name, or the model's forward does more than call its layers in turn (adds a class
            token, positions or a shortcut, say), so that another tensor would come out.
    """
    expected = _expected(model, node, example)
    layers: list[nn.Module] = []
    opened, reason = model, "the model's forward does more than call its layers in turn"
    for part in node.split("."):
        own = [name for name, _ in opened.named_parameters(recurse=False)]
        if own:
            reason = f"a sequence leaves out {', '.join(own)} of {type(opened).__name__}"
        for name, child in opened.named_children():
            if name == part:
                break
            layers.append(child)
        opened = opened.get_submodule(part)
    sequence = _ReadingSequence(*layers, opened)
    return _verified(sequence, example, expected, f"a sequence of the layers up to {node!r}", reason)


def hooked(model: nn.Module, node: str) -> nn.Module:
    """The whole model, run to its end, with a hook that copies what a module returns. Gives every node's tensor.

    Args:
        model: any module of PyTorch that runs as Python.
        node: name of a module, as `create_feature_extractor` takes it.

    Raises:
        InputError: an unknown node.
    """
    return _Reading(_Hooked(create_feature_extractor(model, [node], route="hooks")))


@contextlib.contextmanager
def _reading(model: nn.Module) -> Iterator[None]:
    """In this block a model reads, and so do the layers that it shares; then all are in the mode they were in."""
    with in_modes(dict.fromkeys(model.modules(), False)), torch.no_grad():
        yield


class _Reading(nn.Module):
    """A module that reads, whatever is asked of it; layers that others share keep their modes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.training = False

    def train(self, mode: bool = True) -> "_Reading":
        """It goes on reading."""
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        with _reading(self.model):
            return self.model(*args, **kwargs)


class _ReadingSequence(nn.Sequential):
    """The same of layers in a sequence."""

    def __init__(self, *layers: Any) -> None:
        super().__init__(*layers)
        self.training = False

    def train(self, mode: bool = True) -> "_ReadingSequence":
        """It goes on reading."""
        return self

    def forward(self, input: Any) -> Any:
        """What the last layer gives."""
        with _reading(self):
            return super().forward(input)


class _Hooked(nn.Module):
    """One tensor, from a model that runs to its end."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        super().__init__()
        self.model = extractor.model
        self._requests = extractor.requests

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The node's tensor."""
        found = capture(
            self.model, self._requests, lambda request, out: one_tensor(out, request.node), (args, kwargs), stop=False
        )
        return next(iter(found.values()))


def _expected(model: nn.Module, node: str, example: Tensor) -> Tensor:
    extractor = create_feature_extractor(model, [node], route=HooksRoute.name)
    if node not in dict(model.named_modules()):
        raise InputError(
            f"{node!r} is not the name of a module, which this way needs",
            hint="create_feature_extractor also takes later calls, parts and patterns",
        )
    return extractor(example)[node]


def _first_called_behind(model: nn.Module, node: str, example: Tensor) -> list[str]:
    """The outermost modules whose every call begins after the node's module has returned."""
    began_before, began_behind = {node}, set[str]()
    handles, returned = [], list[bool]()
    for name, module in model.named_modules():
        if not name:
            continue

        def enter(_module: nn.Module, _arguments: Any, name: str = name) -> None:
            (began_behind if returned else began_before).add(name)

        handles.append(module.register_forward_pre_hook(enter))
    handles.append(model.get_submodule(node).register_forward_hook(lambda *_: returned.append(True)))
    try:
        with _reading(model):
            model(example)
    finally:
        for handle in handles:
            handle.remove()
    behind = began_behind - began_before
    return [name for name in behind if not any(name.startswith(f"{other}.") for other in behind)]


def _verified(way: nn.Module, example: Tensor, expected: Tensor, what: str, reason: str) -> nn.Module:
    """The module, when it gives the expected tensor of the example, bit for bit."""
    try:
        found = way(example)
    except Exception as error:  # the layers may fail on what they were never meant to receive in any way
        first = str(error).partition("\n")[0]
        raise _refused(what, f"it fails with {type(error).__name__}: {first}", reason) from error
    if not isinstance(found, Tensor):
        raise _refused(what, f"it gives a {type(found).__name__}", reason)
    if found.shape != expected.shape:
        raise _refused(what, f"it gives {tuple(found.shape)}, the node has {tuple(expected.shape)}", reason)
    if not torch.equal(found, expected):
        raise _refused(what, "it gives other values than the node has", reason)
    return way


def _refused(what: str, fault: str, reason: str) -> InputError:
    return InputError(
        f"{what} does not give that node: {fault}; {reason}",
        hint="create_feature_extractor gives it and computes nothing behind it",
    )
