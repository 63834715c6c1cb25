"""Images a second that PGD in ten steps attacks, beside a plain loop in PyTorch, on a ViT of random weights.

The loop is what anybody would write: pixels on the scale 0-1, the normalisation inside, cross-entropy summed over
images, `autograd.grad` with respect to the pixels. `naive_loop` is the other one that is often seen: `loss.backward()`,
which computes the gradients of all weights as well.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import vitrail
from benchmarks.figures import paired_ratio
from benchmarks.judging_parts.turns import compared, timed_in_turns
from benchmarks.prediction_parts.packages import written_package
from vitrail.evaluation.attacks import attacked_pixels, pgd

EPSILON, STEPS, IMAGES, TURNS = 4 / 255, 10, 8, 5


def measured(repeats: int, smoke: bool) -> dict[str, Any]:
    """Seconds for 8 images of a ViT-Ti/16 (two of a small one with `smoke`), and how many a second that is."""
    name, count = ("test_vit", 2) if smoke else ("vit_tiny_patch16_224", IMAGES)
    with tempfile.TemporaryDirectory() as folder, vitrail.load(written_package(Path(folder), name)) as predictor:
        view, shown = predictor.logits_from_unit_pixels(), predictor.preprocessing
        model = predictor.model.eval()
        pixels = torch.rand(count, 3, shown.height, shown.width, generator=torch.Generator().manual_seed(0))
        pixels = pixels.to(predictor.device)
        labels = view(pixels).argmax(dim=1)
        mean, std = (torch.tensor(each, device=pixels.device).view(-1, 1, 1) for each in (shown.mean, shown.std))
        ways = {
            "vitrail": lambda: _told(
                attacked_pixels(view, pixels, labels, pgd(EPSILON, steps=STEPS), seeds=range(count))
            ),
            "plain_loop": lambda: _told(plain_loop(model, pixels, labels, mean, std, only_pixels=True)),
            "naive_loop": lambda: _told(plain_loop(model, pixels, labels, mean, std, only_pixels=False)),
        }
        seconds = timed_in_turns(ways, turns=(1 if smoke else TURNS) * repeats)
    figures = compared(seconds, ours="vitrail", peer="plain_loop")
    figures["times_as_fast_as_the_naive_loop"] = paired_ratio(seconds["naive_loop"], seconds["vitrail"])
    figures["images_per_second"] = round(count * len(seconds["vitrail"]) / sum(seconds["vitrail"]), 2)
    return {"model": name, "images": count, "steps": STEPS, **figures}


def plain_loop(
    model: nn.Module, pixels: Tensor, labels: Tensor, mean: Tensor, std: Tensor, *, only_pixels: bool
) -> Tensor:
    """PGD as tutorials write it."""
    moved = (pixels + (2 * torch.rand_like(pixels) - 1) * EPSILON).clamp(0, 1)
    for _ in range(STEPS):
        moved = moved.detach().requires_grad_()
        loss = nn.functional.cross_entropy(model((moved - mean) / std), labels, reduction="sum")
        if only_pixels:
            (gradient,) = torch.autograd.grad(loss, moved)
        else:
            model.zero_grad()
            loss.backward()
            assert moved.grad is not None
            gradient = moved.grad
        moved = moved.detach() + 2.5 * EPSILON / STEPS * gradient.sign()
        moved = torch.clamp(moved, pixels - EPSILON, pixels + EPSILON).clamp(0, 1)
    return moved.detach()


def _told(moved: Tensor) -> float:
    """Waits for the device."""
    return float(moved.sum())
