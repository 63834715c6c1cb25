"""The loop beside the plainest one there is, which made the figures of docs/starter.md."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.training.small_job import PIXELS, tiny_vit
from vitrail.basics.events import WorkAdvanced, WorkStarted
from vitrail.basics.seeds import derived_seed
from vitrail.data import columns
from vitrail.data.pictures_in_memory import PicturesInMemory
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.ready import ReadyModel
from vitrail.training.memory_batches import MemoryBatches
from vitrail.training.memory_training import MemoryTraining, _decaying_whole, trained_logits
from vitrail.training.parameter_groups import parameter_groups
from vitrail.training.schedule import rate_at
from vitrail.training.sources import TrainingData
from vitrail.training.stages import Stage

SHOWN = Preprocessing(height=PIXELS, width=PIXELS, crop_fraction=1.0)
HOW = MemoryTraining(epochs=4, images_per_step=8, learning_rate=3e-3, most_shift_pixels=2)


def pixels_and_labels(count=29):
    dice = np.random.default_rng(5)
    labels = np.arange(count) % 2
    pixels = dice.integers(0, 160, (count, PIXELS, PIXELS, 3), dtype=np.uint8)
    pixels[labels == 1, :, :, 1] += 90
    return pixels, labels


def plain_loop(model, images, labels, how, seed, *, groups, fused):
    """The loop that made the published figures; `groups` and `fused` say in which order and by which kernel it sums."""
    optimizer = torch.optim.AdamW(groups, lr=how.learning_rate, fused=fused)
    per_epoch = math.ceil(len(images) / how.images_per_step)
    total, most = how.epochs * per_epoch, how.most_shift_pixels
    generator = torch.Generator().manual_seed(derived_seed(seed, "scratch"))
    model.train()
    for step in range(total):
        if step % per_epoch == 0:
            order = torch.randperm(len(images), generator=generator)
        batch = order[(step % per_epoch) * how.images_per_step :][: how.images_per_step]
        for group in optimizer.param_groups:
            group["lr"] = how.learning_rate * rate_at(step, total, 0.1)
        padded = nn.functional.pad(images[batch], (most,) * 4, mode="replicate")
        offsets = torch.zeros(len(batch), 2, dtype=torch.long)
        if most:
            offsets = torch.randint(0, 2 * most + 1, (len(batch), 2), generator=generator)
        views = [
            image[:, down : down + PIXELS, right : right + PIXELS]
            for image, (down, right) in zip(padded, offsets.tolist(), strict=True)
        ]
        with torch.autocast("cpu", torch.bfloat16, enabled=how.bfloat16):
            loss = nn.functional.cross_entropy(model(torch.stack(views)), labels[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
        optimizer.step()
    return model.eval()


def in_the_loops_order(model, how):
    ready = ReadyModel(model, SHOWN)
    return parameter_groups(_decaying_whole(ready.chain), how.optimization)


def as_they_stand(model, how):
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": how.weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def both(how, *, groups, fused, seed=3):
    """Logits of the plain loop and of ours, on images that were not trained on."""
    pixels, labels = pixels_and_labels()
    rows = columns.rows(path=[f"{n}.png" for n in range(29)], label=["ab"[n] for n in labels])
    rows = rows.append_column("id", [[str(n) for n in range(29)]])
    model, ours = tiny_vit(), tiny_vit()
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(SHOWN.mean).view(-1, 1, 1)) / torch.tensor(SHOWN.std).view(-1, 1, 1)
    plain_loop(model, images[:21], torch.from_numpy(labels[:21]), how, seed, groups=groups(model, how), fused=fused)
    with torch.inference_mode():
        expected = model(images[21:]).numpy()
    pictures = PicturesInMemory(dict(zip(map(str, range(29)), pixels, strict=True)), ["a", "b"])
    found = trained_logits(ReadyModel(ours, SHOWN), pictures, (rows[:21], rows[21:]), how, seed=seed)
    return found, expected


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("most", [0, 2])
def test_every_step_is_that_of_the_plainest_loop_bit_for_bit(bfloat16, most):
    how = MemoryTraining(**{**vars(HOW), "bfloat16": bfloat16, "most_shift_pixels": most})
    found, expected = both(how, groups=in_the_loops_order, fused=True)
    assert np.array_equal(found, expected)


def test_by_another_kernel_and_in_another_order_of_summing_it_is_the_same_to_rounding():
    found, expected = both(HOW, groups=as_they_stand, fused=False)
    assert np.abs(expected).max() > 0.4
    assert np.abs(found - expected).max() < 1e-5


def test_the_model_begins_elsewhere_than_it_ends_and_only_work_is_told():
    pixels, labels = pixels_and_labels()
    rows = columns.rows(path=[f"{n}.png" for n in range(29)], label=["ab"[n] for n in labels])
    rows = rows.append_column("id", [[str(n) for n in range(29)]])
    pictures = PicturesInMemory(dict(zip(map(str, range(29)), pixels, strict=True)), ["a", "b"])
    ready, events = ReadyModel(tiny_vit(), SHOWN), []
    before = copy.deepcopy(ready.model.state_dict())
    trained_logits(ready, pictures, (rows, rows), HOW, seed=0, emit=events.append)
    assert not ready.model.training
    assert not torch.equal(before["head.weight"], ready.model.head.weight)
    assert events[0] == WorkStarted("stage training", 16, "steps")
    assert sum(isinstance(each, WorkAdvanced) and each.by == 1 for each in events) == 16


def test_batches_can_be_asked_for_from_any_step_on():
    pixels, labels = pixels_and_labels()
    ids = [f"{n}.png" for n in range(29)]
    data = MemoryBatches(torch.from_numpy(pixels), torch.from_numpy(labels), ids, 8, 2, seed=1)
    assert isinstance(data, TrainingData) and data.steps_per_epoch == 4
    stage = Stage("training", 3, 1e-3, 0, 0, None, cached=False)
    whole = list(data.batches(stage, first_step=0, cache=None))
    assert len(whole) == 12 and [len(batch) for batch in whole[:4]] == [8, 8, 8, 5]
    rest = list(data.batches(stage, first_step=7, cache=None))
    for batch, again in zip(whole[7:], rest, strict=True):
        assert torch.equal(batch.inputs[0].values, again.inputs[0].values) and torch.equal(batch.labels, again.labels)
    assert data.names(stage, 7) == [ids[row] for row in whole[7].rows]
    assert sorted(row for batch in whole[4:8] for row in batch.rows) == list(range(29))
