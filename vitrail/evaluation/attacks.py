"""Attacks: small changes of the pixels, computed from a model's own gradients, that make it err.

Everything is on the scale 0-1 of pixels, whatever the model's normalisation: see `prediction.unit_pixels`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitrail.basics.errors import InputError

Logits = Callable[[Float[Tensor, "B C H W"]], Float[Tensor, "B K"]]
"""From pixels to logits, with gradients; the model behind it is in evaluation mode."""

Loss = Callable[[Float[Tensor, "B K"], Int[Tensor, "B"]], Float[Tensor, "B"]]
"""What an attack raises: one number per image, from logits and class numbers."""

USUAL_REACH = 2.5
"""All steps of a projected attack together are this many times the largest change, so that from every start every
place is reached. Source: the experiments beside A. Madry et al. (2018), arXiv:1706.06083 (`2.5 · ε / steps`)."""


def log_odds_against(logits: Float[Tensor, "B K"], labels: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
    """The logarithm of the odds against the true class: `log((1 - p) / p)`, K at least 2.

    Its gradient is that of the cross-entropy divided by 1 - p, so it points the same way. But it does not vanish where
    the model is sure of itself: there the cross-entropy's is rounded to 0, the attack goes nowhere, and the model
    looks robust.

    >>> log_odds_against(torch.tensor([[3.0, 1.0]]), torch.tensor([0])).item()
    -2.0
    """
    true = labels[:, None]
    others = logits.scatter(1, true, -torch.inf)
    return others.logsumexp(dim=1) - logits.gather(1, true)[:, 0]


@dataclass(frozen=True)
class Attack:
    """Steps along the gradient that stay near an image; `fgsm` and `pgd` make the usual ones.

    Attributes:
        epsilon: how far the attack may go from the image: the largest change of any value of the pixels (norm `inf`),
            or the root of the summed squares of all changes (norm `2`), on the scale 0-1.
        norm: how that is measured.
        steps: how often the gradient is computed.
        step_size: how far one step goes, in the same unit.
        targeted: whether labels are classes that the attack makes the model answer, not those it leads away from.
        until_wrong: whether an image is left where the model first errs on the way (first answers the target).
        loss: what is raised (lowered where targeted); summed over images, so that each has its own gradient.
        bounds: the least and the greatest value that pixels have.
    """

    epsilon: float | int
    norm: Literal["inf", "2"] = "inf"
    steps: int = 1
    step_size: float | int = 0.0
    targeted: bool = False
    until_wrong: bool = False
    loss: Loss = log_odds_against
    bounds: tuple[float | int, float | int] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for name, value in (("epsilon", self.epsilon), ("step_size", self.step_size)):
            if not 0 <= value < float("inf"):
                raise InputError(f"{name} is {value}, a number from 0 on was expected", hint="e.g. 8/255")
        if self.steps < 1:
            raise InputError(f"an attack of {self.steps} steps was asked for", hint="give steps=1 or more")


def fgsm(epsilon: float | int, *, targeted: bool = False) -> Attack:
    """The fast gradient sign method: one step of `epsilon` along the sign of the gradient.

    Source: I. Goodfellow et al. (2015), Explaining and Harnessing Adversarial Examples, arXiv:1412.6572, section 4.
    """
    return Attack(epsilon, step_size=epsilon, targeted=targeted)


def pgd(
    epsilon: float | int, *, steps: int = 10, norm: Literal["inf", "2"] = "inf", until_wrong: bool = False,
    targeted: bool = False,
) -> Attack:  # fmt: skip
    """Projected gradient descent: many small steps, brought back to within `epsilon` after each.

    Source: A. Madry et al. (2018), Towards Deep Learning Models Resistant to Adversarial Attacks, arXiv:1706.06083.
    """
    size = USUAL_REACH * epsilon / max(steps, 1)
    return Attack(epsilon, norm, steps, size, targeted=targeted, until_wrong=until_wrong)


def attacked_pixels(
    logits: Logits,
    pixels: Float[Tensor, "B C H W"],
    labels: Int[Tensor, "B"],
    attack: Attack,
    *,
    seeds: Sequence[int] | None = None,
) -> Float[Tensor, "B C H W"]:
    """The images as the attack leaves them, within `bounds` and within `epsilon` (and rounding, 1e-6) of the originals.

    An image's result does not depend on its batch but for the last digits of the gradient. No parameter gets a
    gradient, no module another mode, and the pixels given are left as they are. With an epsilon of 0 they come back,
    bit for bit.

    Args:
        logits: of the model, see `prediction.unit_pixels.logits_from_unit_pixels`.
        pixels: within `bounds`.
        labels: the true classes, or the targets.
        attack: what is done.
        seeds: one per image: the attack starts at a random place around it. None: at the image itself.

    Raises:
        InputError: the logits have no gradient, or pixels are outside the bounds.

    >>> weights = torch.tensor([[0.5, -2.0, 1.0], [0.0, 0.0, 0.0]])
    >>> image = torch.full((1, 1, 1, 3), 0.5)
    >>> attacked_pixels(lambda x: x.flatten(1) @ weights.T, image, torch.tensor([0]), fgsm(0.1)).flatten().tolist()
    [0.4000000059604645, 0.6000000238418579, 0.4000000059604645]
    """
    _refuse_what_is_outside(pixels, attack)
    moved = pixels.detach().clone()
    if not attack.epsilon:
        return moved
    if seeds is not None:
        moved = _projected(moved + _random_offsets(moved, attack, seeds), pixels, attack)
    going = torch.arange(len(pixels), device=pixels.device)
    for _ in range(attack.steps):
        gradients, found = pixel_gradients(logits, moved[going], labels[going], loss=attack.loss)
        if attack.until_wrong:
            kept = ~_has_won(found, labels[going], attack)
            going, gradients = going[kept], gradients[kept]
            if not len(going):
                break
        moved[going] = one_step(moved[going], pixels[going], gradients, attack)
    return moved


def pixel_gradients(
    logits: Logits, pixels: Float[Tensor, "B C H W"], labels: Int[Tensor, "B"], *, loss: Loss = log_odds_against
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B K"]]:
    """The gradient of every image's own loss with respect to its pixels, in float32, and the logits.

    Raises:
        InputError: the logits have no gradient.
    """
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(pixels.device.type, enabled=False):
        asked = pixels.detach().clone().requires_grad_()
        found = logits(asked)
        if not found.requires_grad:
            raise InputError(
                "the logits have no gradient with respect to the pixels, so that an attack has nothing to go by",
                hint="give logits_from_unit_pixels(predictor), not an answer that was chosen or rounded",
            )
        total = loss(found, labels.to(found.device).clone()).sum()  # a tensor of inference mode cannot be kept
        (gradients,) = torch.autograd.grad(total, asked, allow_unused=True, materialize_grads=True)
    return gradients, found.detach()


def without_gradient(gradients: Float[Tensor, "B C H W"]) -> Bool[Tensor, "B"]:
    """Which images have a gradient that an attack cannot go by: 0 everywhere, or not a number somewhere."""
    rows = gradients.flatten(1)
    return (rows == 0).all(dim=1) | ~rows.isfinite().all(dim=1)


def one_step(
    moved: Float[Tensor, "B C H W"],
    origin: Float[Tensor, "B C H W"],
    gradients: Float[Tensor, "B C H W"],
    attack: Attack,
) -> Float[Tensor, "B C H W"]:
    """One step along the gradient, brought back to within `epsilon` of the original and into the bounds."""
    gradients = gradients.nan_to_num(0.0, 0.0, 0.0)
    if attack.norm == "inf":
        direction = gradients.sign()
    else:
        # By the largest first: squares of very small numbers would be rounded to 0.
        scaled = gradients / _per_image(gradients.abs().flatten(1).amax(dim=1)).clamp_min(1e-38)
        direction = scaled / _per_image(scaled.flatten(1).norm(dim=1)).clamp_min(1e-38)
    step = -attack.step_size if attack.targeted else attack.step_size
    return _projected(moved + step * direction, origin, attack)


def _projected(
    moved: Float[Tensor, "B C H W"], origin: Float[Tensor, "B C H W"], attack: Attack
) -> Float[Tensor, "B C H W"]:
    if attack.norm == "inf":
        near = torch.clamp(moved, origin - attack.epsilon, origin + attack.epsilon)
    else:
        change = moved - origin
        length = _per_image(change.flatten(1).norm(dim=1)).clamp_min(1e-38)
        near = origin + change * (attack.epsilon / length).clamp_max(1)
    return near.clamp(*attack.bounds)  # nearer to the original, which lies within the bounds


def _random_offsets(pixels: Float[Tensor, "B C H W"], attack: Attack, seeds: Sequence[int]) -> Float[Tensor, "B C H W"]:
    """A random place around every image, from its own seed: the same in every batch and on every device."""
    shape, drawn = tuple(pixels.shape[1:]), []
    for seed in seeds:
        dice = np.random.Generator(np.random.PCG64(seed))
        if attack.norm == "inf":
            offset = dice.random(shape, dtype=np.float32) * 2 - 1
        else:
            offset = dice.standard_normal(shape, dtype=np.float32)
            offset *= dice.random() / max(float(np.linalg.norm(offset)), 1e-38)
        drawn.append(offset)
    return torch.from_numpy(np.stack(drawn)).to(pixels) * attack.epsilon


def _has_won(logits: Float[Tensor, "B K"], labels: Int[Tensor, "B"], attack: Attack) -> Bool[Tensor, "B"]:
    same = logits.argmax(dim=1) == labels.to(logits.device)
    return (same if attack.targeted else ~same).to(labels.device)


def _per_image(values: Float[Tensor, "B"]) -> Float[Tensor, "B 1 1 1"]:
    return values[:, None, None, None]


def _refuse_what_is_outside(pixels: Float[Tensor, "B C H W"], attack: Attack) -> None:
    low, high = attack.bounds
    if len(pixels) and not bool(((pixels >= low) & (pixels <= high)).all()):
        raise InputError(
            f"pixels lie from {float(pixels.min()):.4g} to {float(pixels.max()):.4g}, {low:g} to {high:g} was expected",
            hint="give pixels on the scale 0-1, before the model's normalisation",
        )
