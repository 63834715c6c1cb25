"""The feature extractor: tensors from inside any model, by name, and nothing computed behind the last of them."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vitrail.basics.errors import InputError
from vitrail.features.finishing import OutputForm, Projections, output_forms
from vitrail.features.node_names import Request
from vitrail.features.outputs import one_tensor
from vitrail.features.routes.choice import Chosen, choose
from vitrail.features.routes.graph import PrunedModel
from vitrail.features.routes.reach import refuse_no_module
from vitrail.features.routes.tracing import traces, warn_of_differences
from vitrail.models.modes import in_modes, modes_of

_learning = threading.Lock()

Nodes = str | Sequence[str] | Mapping[str, str]


class FeatureExtractor(nn.Module):
    """A model that answers with tensors from its inside. `create_feature_extractor` makes one.

    It shares its layers with the model it was made from and takes what that model takes. It is made for reading: it
    begins in evaluation mode, whatever mode that model is in, and gives no gradients unless `gradients` were asked for.
    `train()`, also a parent module's, makes it train: layers are in training mode while it is called, but for those
    that are switched to evaluation between `train()` and the next call, and gradients flow. `eval()` makes it read
    again. After every call all layers are in the mode that they were in on the original.
    """

    def __init__(self, chosen: Chosen, forms: dict[str, OutputForm], *, gradients: bool = False) -> None:
        super().__init__()
        self.model = chosen.model
        self.projections = Projections(forms)
        self.training = False
        self.gradients = gradients
        self.reason = chosen.reason
        self._route = chosen.route
        self._requests = chosen.requests
        self._forms = forms
        self._lent: dict[nn.Module, bool] = {}
        self._trained: dict[nn.Module, bool] = {}

    @property
    def route(self) -> str:
        """`own`, `hooks` or `graph`."""
        return self._route.name

    @property
    def requests(self) -> tuple[Request, ...]:
        """What is asked for in the mode the extractor is in."""
        return self._requests[self.training]

    @property
    def nodes(self) -> dict[str, str]:
        """By output name: the node it comes from, in the mode the extractor is in."""
        return {request.output: request.node.name for request in self.requests}

    def train(self, mode: bool = True) -> "FeatureExtractor":
        """Train, or read again.

        In training, layers are switched at once, so that some may be switched back, as torchvision's extractors let one
        do; the next call learns from that how each is to be, and gives them back to the original.
        """
        self._give_back()
        lent = modes_of(self.model) if mode else {}
        if mode:
            super().train(True)
        self.training, self._lent, self._trained = mode, lent, {}
        self.projections.train(mode)
        if isinstance(self.model, PrunedModel):
            self.model.run_graph_of(training=mode)
        return self

    def _give_back(self) -> None:
        for module, training in self._lent.items():
            module.training = training
        self._lent = {}

    def _wanted_modes(self) -> dict[nn.Module, bool]:
        """The mode that each layer is to be in during a call."""
        if not self.training:
            return dict.fromkeys(self.model.modules(), False)
        with _learning:
            if self._lent:
                self._trained = modes_of(self.model)
                self._give_back()
        return {module: self._trained.get(module, True) for module in self.model.modules()}

    def explain(self) -> str:
        """The route, why it was chosen, and which node each output comes from; to be printed."""
        lines = [f"route {self.route}: {self.reason}"]
        for request in self.requests:
            node = request.node
            which = f"call {node.call} of module {node.base}" if node.is_module else f"operation {node.base}"
            parts = "".join(f"[{item}]" for item in node.items)
            lines.append(f"  {request.output}: {which}{f', its {parts}' if parts else ''}")
        return "\n".join(lines)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """The tensors by output name, in the order asked.

        Raises:
            InputError: a module was not called, gave no single tensor, or cannot be reduced as asked; it is compiled,
                and the model is in another mode than the extractor.
        """
        gradients = torch.is_grad_enabled() and (self.training or self.gradients)
        if torch.compiler.is_compiling():  # the compiler follows no locks
            self._refuse_other_mode()
            with torch.set_grad_enabled(gradients):
                return self._answer(args, kwargs)
        with in_modes(self._wanted_modes()), torch.set_grad_enabled(gradients):
            return self._answer(args, kwargs)

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Tensor]:
        batch = _images((*args, *kwargs.values()))

        def finish(request: Request, output: object) -> Tensor:
            form = self.projections.on(self._forms[request.output], request.output)
            return form.of(one_tensor(output, request.node), batch)

        return self._route.run(self.model, self.requests, finish, (args, kwargs))

    def _refuse_other_mode(self) -> None:
        if self.training != self.model.training:
            raise InputError(
                f"the model is in {_mode(self.model.training)} mode and its extractor in {_mode(self.training)} mode: "
                "compiled, it cannot switch between them",
                hint="call eval() on the model, or train() on the model and on the extractor, before compiling",
            )


def create_feature_extractor(  # noqa: PLR0913 - the first seven are torchvision's, in its order
    model: nn.Module,
    return_nodes: Nodes | None = None,
    train_return_nodes: Nodes | None = None,
    eval_return_nodes: Nodes | None = None,
    tracer_kwargs: dict[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: dict[str, Any] | None = None,
    *,
    route: str = "auto",
    reduce: str | Mapping[str, str] | None = None,
    normalize: bool = False,
    projection: Tensor | Mapping[str, Tensor] | None = None,
    gradients: bool = False,
) -> FeatureExtractor:
    """Make a module that gives what is computed at named places inside a model.

    It reads: it begins in evaluation mode and gives no gradients, whatever mode the model is in; `train()` makes it
    train.

    A name means exactly one tensor: `layer4` what that module returns, `layer4.0.relu_1` or `layer4.0.relu#2` what it
    returns when it is called the second time, `attn[0]` or `attn[key]` a part of a tuple or dictionary, `flatten` an
    operation as torchvision calls it. Lists may hold patterns: `blocks.*.attn`; `**` crosses dots; modules that are not
    called are left out of these.

    Args:
        model: any module of PyTorch; it is left as it is, also when this fails.
        return_nodes: a name, a list of names and patterns, or a dictionary from names to output names.
        train_return_nodes: for training only; then `eval_return_nodes` is needed too, and `return_nodes` is not.
        eval_return_nodes: for evaluation only.
        tracer_kwargs: for `torch.fx.Tracer`, with torchvision's `leaf_modules`; used where the model is traced.
        suppress_diff_warning: say nothing when operations differ between training and evaluation.
        concrete_args: arguments of the model that are fixed while it is traced; the graph route is then taken.
        route: `own` runs a timm model's layer groups, `hooks` runs its forward and leaves it behind the last node,
            `graph` traces and prunes it. `auto` prefers them in this order; only a graph knows operations.
        reduce: `cls`, `mean`, `tokens` or `map` for all outputs, or by output name.
        normalize: divide every vector by its length, after the reduction.
        projection: matrix (D, d), or matrices by output name, that every vector is multiplied by at last.
        gradients: whether gradients flow in evaluation mode too.

    Raises:
        InputError: no module, an unknown or ambiguous name, a compiled or scripted module around a node, a route that
            cannot do it, an unknown reduction.

    >>> import torch, torchvision
    >>> extractor = create_feature_extractor(torchvision.models.resnet18(), {"layer3": "a", "layer4": "b"})
    >>> {name: tuple(tensor.shape) for name, tensor in extractor(torch.zeros(1, 3, 64, 64)).items()}
    {'a': (1, 256, 4, 4), 'b': (1, 512, 2, 2)}
    """
    chosen = choose(
        model,
        {"both": return_nodes, "train": train_return_nodes, "eval": eval_return_nodes},
        route=route,
        tracer_kwargs=tracer_kwargs,
        concrete_args=concrete_args,
        suppress_diff_warning=suppress_diff_warning,
    )
    every = {request.output: request for mode in (True, False) for request in chosen.requests[mode]}
    forms = output_forms(model, tuple(every.values()), reduce=reduce, normalize=normalize, projection=projection)
    return FeatureExtractor(chosen, forms, gradients=gradients)


def get_graph_node_names(
    model: nn.Module,
    tracer_kwargs: dict[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: dict[str, Any] | None = None,
) -> tuple[list[str], list[str]]:
    """Names of innermost modules and of operations, in running order, in training and in evaluation.

    Modules around these can be asked for too, and modules of models that cannot be traced: `vitrail nodes` shows all.

    Args:
        model: any module of PyTorch that can be traced.
        tracer_kwargs: for `torch.fx.Tracer`, with torchvision's `leaf_modules`.
        suppress_diff_warning: say nothing when the two lists differ.
        concrete_args: arguments of the model that are fixed while it is traced.

    Raises:
        InputError: it is no module, or cannot be traced.
    """
    refuse_no_module(model)
    found = traces(model, tracer_kwargs, concrete_args)
    if not suppress_diff_warning:
        warn_of_differences(found)
    return found[True].names, found[False].names


def _images(arguments: tuple[Any, ...]) -> Tensor | None:
    """The first argument that is a batch of images (B, C, H, W)."""
    return next((each for each in arguments if isinstance(each, Tensor) and each.ndim == 4), None)


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"
