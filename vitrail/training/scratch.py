"""Training a small model from nothing, in the simplest honest loop: for the demo, and as a yardstick.

No image chooses anything: the number of epochs is fixed beforehand and the last weights are kept, so that validation
images stay unseen until they are used to judge.
"""

import math

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from vitrail.basics.events import Emit, WorkAdvanced, WorkEnded, WorkStarted, nobody
from vitrail.basics.seeds import derived_seed
from vitrail.basics.settings import Settings
from vitrail.data.columns import labels_of
from vitrail.data.pictures_in_memory import PicturesInMemory
from vitrail.models.ready import ReadyModel
from vitrail.training.schedule import rate_at

AT_ONCE = 256
"""Images of one forward pass that judges."""


class ScratchSettings(Settings):
    """How the small model is trained."""

    epochs: int = 30
    """Walks through the training images."""
    batch_size: int = 32
    """Images per step."""
    learning_rate: float = 3e-3
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.05
    """Decay of matrices; vectors are left alone."""
    warmup_fraction: float = 0.1
    """Part of the steps over which the learning rate rises."""
    most_shift_pixels: int = 1
    """Training images are shifted by up to so many pixels in each direction."""
    bfloat16: bool = False
    """Multiply in bfloat16; weights stay in float32."""


def train_from_scratch(
    model: nn.Module,
    images: Float[Tensor, "N C H W"],
    labels: Int[Tensor, "N"],
    settings: ScratchSettings,
    *,
    seed: int = 0,
    emit: Emit = nobody,
) -> nn.Module:
    """Train `model` in place and return it in eval mode.

    Args:
        model: gives logits (B, K) for a batch of `images`.
        images: normalised inputs, all of them in memory.
        labels: class numbers.
        seed: of shuffling and shifting; the model's initial weights are the caller's.
    """
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    steps_per_epoch = math.ceil(len(images) / settings.batch_size)
    total_steps = settings.epochs * steps_per_epoch
    generator = torch.Generator().manual_seed(derived_seed(seed, "scratch"))
    model.train()
    emit(WorkStarted("training", total_steps, "steps"))
    for step in range(total_steps):
        if step % steps_per_epoch == 0:
            order = torch.randperm(len(images), generator=generator)
        batch = order[(step % steps_per_epoch) * settings.batch_size :][: settings.batch_size]
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate_at(step, total_steps, settings.warmup_fraction)
        shifted = _shifted(images[batch], settings.most_shift_pixels, generator)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.bfloat16):
            loss = nn.functional.cross_entropy(model(shifted), labels[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        emit(WorkAdvanced("training"))
    emit(WorkEnded("training"))
    return model.eval()


def scratch_logits(
    ready: ReadyModel,
    pictures: PicturesInMemory,
    rows: tuple[pa.Table, pa.Table],
    settings: ScratchSettings,
    *,
    seed: int,
    emit: Emit = nobody,
) -> Float[np.ndarray, "N K"]:
    """Train the whole network on the first table's images, and answer about the second's.

    Args:
        ready: the network as it begins; it ends trained.
        pictures: all images of both tables.
        rows: what is trained on, and what is answered about.
        settings: how it is trained.
        seed: of shuffling and shifting.
        emit: receives progress.
    """
    shown = ready.preprocessing
    training, judged = (as_input(pictures.of(part), shown.mean, shown.std) for part in rows)
    labels = torch.from_numpy(labels_of(rows[0], pictures.classes))
    model = train_from_scratch(ready.model, training, labels, settings, seed=seed, emit=emit)
    with torch.inference_mode():
        return torch.cat([model(part) for part in judged.split(AT_ONCE)]).numpy()


def as_input(
    pixels: UInt8[np.ndarray, "N H W C"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "N C H W"]:
    """Pixels 0-255 to a model's normalised input."""
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (batch - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)


def _shifted(images: Float[Tensor, "B C H W"], most: int, generator: torch.Generator) -> Float[Tensor, "B C H W"]:
    """Every image moved by its own whole number of pixels; the border is repeated."""
    if most == 0:
        return images
    height, width = images.shape[-2:]
    padded = nn.functional.pad(images, (most,) * 4, mode="replicate")
    offsets = torch.randint(0, 2 * most + 1, (len(images), 2), generator=generator)
    rows = offsets[:, 0, None] + torch.arange(height)
    columns = offsets[:, 1, None] + torch.arange(width)
    index = torch.arange(len(images))[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
