"""A view of a network: the same weights, seen through modules that nobody else uses."""

import copy

from torch import Tensor, nn


def evaluation_view(model: nn.Module) -> nn.Module:
    """The same network, its weights shared: modules of its own in evaluation mode, and no parameter with a gradient.

    Whatever is done to its modules (hooks, modes, attributes), the network itself is left as it is, also for other
    threads that use it meanwhile.
    """
    shared: dict[int, Tensor] = {id(each): each for each in model.buffers()}
    shared |= {id(each): nn.Parameter(each.detach(), requires_grad=False) for each in model.parameters()}
    return copy.deepcopy(model, shared).eval()
