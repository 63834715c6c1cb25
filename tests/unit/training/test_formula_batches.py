import dataclasses
import itertools

import numpy as np
import pytest
import torch

from tests.unit.training.small_job import CPU
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.inputs import Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.training.formula_batches import FormulaBatches, mixed, stored_near
from vitrail.training.formula_views import FormulaViewSettings
from vitrail.training.sources import TrainingData
from vitrail.training.stages import Stage

STAGE = Stage("formula", 5, 1e-3, 0, 0, None, cached=False, sizes=(16,))
CLASSES, COUNT = 3, 21


def formula(*, views=None, seed=0, per_step=4):
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 24, 24, 3), dtype=np.uint8)
    return FormulaBatches(
        stored=pixels,
        labels=np.arange(COUNT, dtype=np.int64) % CLASSES,
        classes=CLASSES,
        views=views or FormulaViewSettings(),
        normalise=Normalise(Preprocessing(height=16, width=16), CPU),
        images_per_step=per_step,
        steps_per_epoch=6,
        seed=seed,
    )


def same(one, other):
    return torch.equal(one.inputs[0].values, other.inputs[0].values) and torch.equal(one.labels, other.labels)


def test_it_is_what_the_loop_asks_for():
    assert isinstance(formula(), TrainingData)


@pytest.mark.parametrize("per_step", [4, 7, 50])
def test_every_image_is_seen_once_in_every_walk_also_where_steps_do_not_divide_it(per_step):
    batches = formula(per_step=per_step)
    seen = np.concatenate([batches.rows(step) for step in range(3 * COUNT)])
    walks = [tuple(seen[start : start + COUNT]) for start in range(0, 3 * COUNT, COUNT)]
    assert all(sorted(walk) == list(range(COUNT)) for walk in walks)
    assert len(set(walks)) == 3


def test_a_step_depends_on_its_number_and_the_seed_alone():
    later, earlier = formula(), formula()
    backwards = [later.batch(STAGE, step) for step in (9, 5, 2)]
    assert all(
        same(batch, earlier.batch(STAGE, step)) for batch, step in zip(reversed(backwards), (2, 5, 9), strict=True)
    )
    assert not same(formula(seed=1).batch(STAGE, 2), earlier.batch(STAGE, 2))
    assert not np.array_equal(formula(seed=1).rows(2), earlier.rows(2))


def test_no_two_steps_see_an_image_in_the_same_way():
    batches = formula()
    alike = dataclasses.replace(batches, stored=np.repeat(batches.stored[:1], COUNT, axis=0))
    views = torch.cat([alike.batch(STAGE, step).inputs[0].values for step in range(5)])
    assert len({view.numpy().tobytes() for view in views}) == len(views)


def test_a_run_that_begins_in_the_middle_sees_the_same_batches():
    everything = list(formula().batches(STAGE, first_step=0, cache=None))
    rest = list(formula().batches(STAGE, first_step=11, cache=None))
    assert len(everything) == 30 and len(rest) == 19
    assert all(same(one, other) for one, other in zip(everything[11:], rest, strict=True))


def test_a_batch_holds_normalised_views_with_the_classes_of_its_images():
    still = FormulaViewSettings(smallest_crop=1, mirror=False, brightness=0, contrast=0)
    batches = formula(views=still)
    batch, rows = batches.batch(dataclasses.replace(STAGE, sizes=(24,)), 3), batches.rows(3)
    assert batch.inputs[0].place == 0 and batch.labels.tolist() == (rows % CLASSES).tolist()
    expected = batches.normalise(Pixels(batches.stored[rows]))
    torch.testing.assert_close(batch.inputs[0].values, expected, rtol=0, atol=1e-5)


def test_sizes_take_equal_parts_of_the_run_in_their_order():
    stage = dataclasses.replace(STAGE, sizes=(8, 8, 16))
    sizes = [formula().batch(stage, step).inputs[0].values.shape[-1] for step in range(30)]
    assert [(size, len(list(steps))) for size, steps in itertools.groupby(sizes)] == [(8, 20), (16, 10)]


def test_where_the_images_lie_makes_no_difference():
    batches = formula()
    there = dataclasses.replace(batches, stored=torch.from_numpy(batches.stored))
    assert same(there.batch(STAGE, 7), batches.batch(STAGE, 7))
    assert stored_near(batches.stored, CPU) is batches.stored


def test_a_step_names_class_and_rendering_of_its_images():
    batches = formula()
    assert batches.names(STAGE, 0) == [f"class {row % 3}, rendering {row // 3}" for row in batches.rows(0)]


def test_mixed_views_carry_the_shares_of_both_classes():
    views = torch.stack([torch.full((3, 2, 2), float(number)) for number in range(3)])
    both, shares = mixed(views, torch.tensor([0, 2, 1]), 0.75, classes=3)
    assert both[:, 0, 0, 0].tolist() == [0.5, 1.0, 1.5]
    assert shares.tolist() == [[0.75, 0.25, 0.0], [0.0, 0.0, 1.0], [0.25, 0.75, 0.0]]


def test_images_are_mixed_by_a_share_of_the_seed_and_step_where_asked():
    batches = formula(views=FormulaViewSettings(mixup=0.5))
    one, again, other = (batches.batch(STAGE, step) for step in (1, 1, 2))
    assert same(one, again)
    assert one.labels.shape == (4, CLASSES)
    torch.testing.assert_close(one.labels.sum(dim=1), torch.ones(4))
    assert set(one.labels.unique().tolist()) != set(other.labels.unique().tolist())
