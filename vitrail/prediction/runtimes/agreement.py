"""Whether two runtimes say the same of the same images."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vitrail.basics.errors import InputError

LEAST_COSINE = 0.999
"""Least cosine between an image's features in a fast runtime and in torch float32 for it to be used."""
GREATEST_ERROR = 1e-4
"""Greatest relative error of a runtime that computes in float32, for it to be used."""


@dataclass(frozen=True)
class Agreement:
    """How near a runtime comes to torch in float32.

    Attributes:
        cosine: the least over the images, of what is judged by it; -1 where something is not finite.
        relative_error: the greatest absolute difference, divided by the greatest absolute value, over all that is read.
    """

    cosine: float
    relative_error: float

    def suffices(self, *, exact: bool) -> bool:
        """Whether it is near enough to be used: in place of float32 itself, or as a fast way."""
        return self.relative_error <= GREATEST_ERROR if exact else self.cosine >= LEAST_COSINE

    def text(self) -> str:
        """Both figures in words."""
        return f"least cosine {self.cosine:.4f}, greatest relative error {self.relative_error:.1e}"


def agreement_of(answers: tuple[Tensor, ...], exact: tuple[Tensor, ...], *, judged: int = 1) -> Agreement:
    """Compare what was read of the same batch, tensor by tensor; see `Agreement`.

    Args:
        answers: what the runtime said.
        exact: what torch says in float32.
        judged: of so many of them, the first ones, the cosine is taken. Of features and logits that is 1: the logits
            of a head that was never trained may point anywhere.
    """
    if [each.shape for each in answers] != [each.shape for each in exact]:
        return Agreement(-1.0, math.inf)
    pairs = list(zip(answers, exact, strict=True))
    cosines = [_least_cosine(ours.flatten(1), theirs.flatten(1)) for ours, theirs in pairs[:judged]]
    return Agreement(min(cosines), max(_relative_error(*pair) for pair in pairs))


def refuse_disagreement(name: str, found: Agreement, *, exact: bool) -> None:
    """Let nothing pass that is not near enough.

    Args:
        name: of the runtime.
        found: its agreement with torch in float32 on the user's own images.
        exact: whether it computes in float32 itself.

    Raises:
        InputError: it disagrees.
    """
    if found.suffices(exact=exact):
        return
    limit = f"an error of {GREATEST_ERROR:.0e} at most" if exact else f"a cosine of {LEAST_COSINE} at least"
    raise InputError(
        f"{name} disagrees with torch float32 on these images: {found.text()}; {limit} was expected",
        hint="use the runtime torch for this model",
    )


def _least_cosine(answers: Tensor, exact: Tensor) -> float:
    cosine = torch.nn.functional.cosine_similarity(answers.double(), exact.double())
    cosine = torch.where((answers == exact).all(dim=1), torch.ones_like(cosine), cosine)  # rows of zeros, too
    finite = torch.isfinite(answers).all() and torch.isfinite(exact).all()
    return float(cosine.min()) if finite else -1.0


def _relative_error(answers: Tensor, exact: Tensor) -> float:
    difference, size = float((answers - exact).abs().max()), float(exact.abs().max())
    if not math.isfinite(difference):
        return math.inf
    return difference / size if size else (0.0 if not difference else math.inf)
