"""Whether two runtimes say the same of the same images, and whether they tell them apart as well."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vitrail.basics.errors import InputError

LEAST_COSINE = 0.999
"""Least cosine between an image's features in a fast runtime and in torch float32 for it to be used."""
GREATEST_ERROR = 1e-4
"""Greatest relative error of a runtime that computes in float32, for it to be used."""
GREATEST_FAST_ERROR = 0.1
"""The same of a fast runtime; bfloat16 is about a hundredth off. It finds what has no direction: wrong logits."""
GREATEST_SHARE_OF_SPREAD = 0.05
"""Greatest error of features beside what images differ by. On photographs, skin lesions and CT slices bfloat16 is off
by 0.014 to 0.044 of that (ViT-Ti/16, 32 images); on slices that are nearly alike by 0.09 to 0.53, at the
same cosine."""
LEAST_SHARED_NEIGHBOURS = 0.9
"""Least share of an image's nearest neighbours that stay its neighbours; at least 0.98 and 0.72 to 0.96 there."""
_NEIGHBOURS = 5


@dataclass(frozen=True)
class Agreement:
    """How near a runtime comes to torch in float32.

    Attributes:
        cosine: the least over the images and over all features that are read; -1 where something is not finite.
        relative_error: the greatest absolute difference, divided by the greatest absolute value, over all that is read.
        share_of_spread: how far features are off, divided by how far images lie apart: the root mean square of the
            error over that of the distance to the mean image, once for the features as they are (what neighbours see)
            and once for each of them divided by its own spread (what the probe sees); the greater of both.
        shared_neighbours: which share of the five nearest neighbours in float32 are found among images whose features
            were computed in the other way, as validation images meet training images.
    """

    cosine: float
    relative_error: float
    share_of_spread: float = 0.0
    shared_neighbours: float = 1.0

    @property
    def keeps_apart(self) -> bool:
        """Whether images that are nearly alike are told apart as well as in float32. A cosine does not see that: where
        all images point the same way, any error is small beside what they share."""
        return self.share_of_spread <= GREATEST_SHARE_OF_SPREAD and self.shared_neighbours >= LEAST_SHARED_NEIGHBOURS

    def suffices(self, *, exact: bool) -> bool:
        """Whether it is near enough to be used: in place of float32 itself, or as a fast way."""
        if exact:
            return self.relative_error <= GREATEST_ERROR
        return self.cosine >= LEAST_COSINE and self.relative_error <= GREATEST_FAST_ERROR

    def text(self) -> str:
        """Both figures in words."""
        return f"least cosine {self.cosine:.4f}, greatest relative error {self.relative_error:.1e}"

    def apart_text(self) -> str:
        """What it says of telling images apart, in words."""
        share = f"{100 * self.share_of_spread:.1f} %" if math.isfinite(self.share_of_spread) else "more than all"
        return f"off by {share} of what images differ by, {100 * self.shared_neighbours:.0f} % of neighbours kept"

    def as_json(self) -> dict[str, Any]:
        """Plain values for journals and reports."""
        figures = {
            "cosine_to_float32": self.cosine, "relative_error": self.relative_error,
            "share_of_spread": self.share_of_spread, "shared_neighbours": self.shared_neighbours,
        }  # fmt: skip
        return {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in figures.items()}


def agreement_of(answers: tuple[Tensor, ...], exact: tuple[Tensor, ...], *, features: int | None = None) -> Agreement:
    """Compare what was read of the same batch, tensor by tensor; see `Agreement`.

    Args:
        answers: in some runtime.
        exact: in torch float32.
        features: how many of them, from the first on, are compared by cosine; None: all.
    """
    if [each.shape for each in answers] != [each.shape for each in exact]:
        return Agreement(-1.0, math.inf, math.inf, 0.0)
    pairs = list(zip(answers, exact, strict=True))
    if not all(bool(torch.isfinite(each).all()) for pair in pairs for each in pair):
        return Agreement(-1.0, math.inf, math.inf, 0.0)
    flat = [(ours.flatten(1).double(), theirs.flatten(1).double()) for ours, theirs in pairs[:features]]
    return Agreement(
        min(_least_cosine(*pair) for pair in flat),
        max(_relative_error(*pair) for pair in pairs),
        max(_share_of_spread(*pair) for pair in flat),
        min(_shared_neighbours(*pair) for pair in flat),
    )


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
    limit = f"an error of {GREATEST_ERROR if exact else GREATEST_FAST_ERROR:.0e} at most"
    expected = limit if exact else f"a cosine of {LEAST_COSINE} at least, and {limit},"
    raise InputError(
        f"{name} disagrees with torch float32 on these images: {found.text()}; {expected} was expected",
        hint="use the runtime torch for this model",
    )


def _least_cosine(answers: Tensor, exact: Tensor) -> float:
    cosine = torch.nn.functional.cosine_similarity(answers, exact)
    cosine = torch.where((answers == exact).all(dim=1), torch.ones_like(cosine), cosine)  # rows of zeros, too
    return float(cosine.min())


def _relative_error(answers: Tensor, exact: Tensor) -> float:
    difference, size = float((answers - exact).abs().max()), float(exact.abs().max())
    return difference / size if size else (0.0 if not difference else math.inf)


def _share_of_spread(answers: Tensor, exact: Tensor) -> float:
    """Error beside the distance to the mean image; a single image differs from nothing, and nothing is told of it."""
    if len(exact) < 2:
        return 0.0
    squared_error, squared_spread = (answers - exact).square().mean(0), (exact - exact.mean(0)).square().mean(0)
    varying = squared_spread > 1e-12 * exact.square().mean(0)
    if not bool(varying.any()):  # all images are one and the same
        return 0.0 if torch.equal(answers, exact) else math.inf
    plain = squared_error.sum() / squared_spread.sum()
    scaled = (squared_error[varying] / squared_spread[varying]).mean()
    share = float(torch.maximum(plain, scaled).sqrt())
    return share if math.isfinite(share) else math.inf


def _shared_neighbours(answers: Tensor, exact: Tensor) -> float:
    count = min(_NEIGHBOURS, len(exact) - 1)
    if count < 1:
        return 1.0
    query = torch.nn.functional.normalize(exact)
    ours, theirs = (_nearest(query, torch.nn.functional.normalize(each), count) for each in (answers, exact))
    return float((ours[:, :, None] == theirs[:, None, :]).any(dim=2).double().mean())


def _nearest(queries: Tensor, stored: Tensor, count: int) -> Tensor:
    similarity = (queries @ stored.T).fill_diagonal_(-math.inf)
    return similarity.argsort(dim=1, descending=True, stable=True)[:, :count]
