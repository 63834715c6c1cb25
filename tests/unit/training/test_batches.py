import itertools

import numpy as np
import pytest
import torch

from tests.unit.training.small_job import CPU, caches_of, pictures, tiny_vit, training_images
from vitrail.data.augmentation import AugmentationSettings
from vitrail.data.training_views import view_batches
from vitrail.features.prefix_cache import view_seed
from vitrail.models.chain import Chain
from vitrail.models.inputs import Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.training.stages import Stage

HEAD = Stage("head", 4, 1e-3, 0, 0, None, cached=False)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), train=10, val=2)


def fixed_views(views: int, *, cut: int = 0, cached: bool = False, epochs: int = 4) -> Stage:
    return Stage("top", epochs, 1e-3, cut, 0, views, cached)


def test_every_image_is_seen_once_in_every_epoch_and_the_last_step_may_be_smaller(images):
    training = training_images(images)
    assert training.steps_per_epoch == 3
    for epoch in range(4):
        steps = [training.step_images(HEAD, 3 * epoch + position) for position in range(3)]
        assert [len(step) for step in steps] == [4, 4, 2]
        assert sorted(np.concatenate(steps)) == list(range(10))


@pytest.mark.parametrize(("per_step", "steps"), [(1, 10), (5, 2), (9, 2), (10, 1)])
def test_the_number_of_steps_is_rounded_up(images, per_step, steps):
    assert training_images(images, per_step=per_step).steps_per_epoch == steps


def test_the_order_differs_between_epochs_stages_and_seeds_and_is_otherwise_the_same(images):
    def order(seed: int, stage: str, epoch: int) -> list[int]:
        training = training_images(images, per_step=10, seed=seed)
        return training.step_images(Stage(stage, 9, 1e-3, 0, 0, None, cached=False), epoch).tolist()

    orders = [order(*what) for what in itertools.product((0, 1), ("head", "top"), (0, 1))]
    assert len({tuple(each) for each in orders}) == len(orders)
    assert orders == [order(*what) for what in itertools.product((0, 1), ("head", "top"), (0, 1))]


def test_the_order_does_not_depend_on_what_was_asked_before(images):
    training = training_images(images)
    backwards = [training.step_images(HEAD, step).tolist() for step in reversed(range(12))]
    torch.manual_seed(99)
    np.random.seed(99)
    forwards = [training.step_images(HEAD, step).tolist() for step in range(12)]
    assert forwards == backwards[::-1]


@pytest.mark.parametrize("first", [1, 3, 7, 11, 12])
@pytest.mark.parametrize("views", [None, 2])
def test_resuming_anywhere_gives_the_batches_that_were_left(images, first, views):
    training, stage = training_images(images), Stage("head", 4, 1e-3, 0, 0, views, cached=False)
    everything = list(training.batches(stage, first_step=0, cache=None))
    rest = list(training.batches(stage, first_step=first, cache=None))
    assert len(everything) == 12 and len(rest) == 12 - first
    for mine, expected in zip(rest, everything[first:], strict=True):
        assert np.array_equal(mine.inputs[0].values, expected.inputs[0].values)
        assert torch.equal(mine.labels, expected.labels)


def test_labels_and_weights_are_those_of_the_images(images):
    training = training_images(images, class_weights=torch.tensor([0.5, 2.0]))
    for step, batch in enumerate(training.batches(HEAD, first_step=0, cache=None)):
        labels = images.train.labels[training.step_images(HEAD, step)]
        assert isinstance(batch.inputs[0], Pixels) and batch.inputs[0].values.dtype == np.uint8
        assert batch.labels.tolist() == labels.tolist()
        assert batch.weights.tolist() == [0.5 if label == 0 else 2.0 for label in labels]


@pytest.mark.parametrize("views", [1, 2, 3])
def test_every_fixed_view_of_every_image_is_used_equally_often(images, views):
    training = training_images(images)
    stage = fixed_views(views, epochs=6)
    for image in range(10):
        seen = [training.view_number(stage, epoch, image) for epoch in range(6)]
        assert [seen.count(view) for view in range(views)] == [6 // views] * views
    mixed = {training.view_number(stage, 0, image) for image in range(10)}
    assert len(mixed) == views, "an epoch mixes views"


def test_without_fixed_views_no_view_is_seen_twice(images):
    training = training_images(images)
    stages = [Stage(name, 50, 1e-3, 0, 0, None, cached=False) for name in ("top", "all")]
    seeds = [
        view_seed(training.seed, identity, training.view_number(stage, epoch, image))
        for stage in stages for epoch in range(50) for image, identity in enumerate(images.train.ids)
    ]  # fmt: skip
    assert len(set(seeds)) == len(seeds)


def test_the_pixels_are_those_of_the_images_views(images):
    training, stage = training_images(images), fixed_views(3)
    for step, batch in enumerate(training.batches(stage, first_step=0, cache=None)):
        wanted = [
            (images.train.places[image], view_seed(0, images.train.ids[image], (step // 3 + int(image)) % 3))
            for image in training.step_images(stage, step)
        ]
        expected = next(view_batches([wanted], images.preprocessing, AugmentationSettings(), workers=0))
        assert np.array_equal(batch.inputs[0].values, expected)


@pytest.mark.parametrize("views", [1, 3])
def test_cached_states_are_what_the_frozen_layers_make_of_the_uncached_pixels(images, views, tmp_path):
    model = tiny_vit()
    training, chain = training_images(images), Chain(model)
    for place in (1, 3, chain.pooled):
        stage = fixed_views(views, cut=place, cached=True)
        cache = caches_of(model, (stage,), training, images.val, tmp_path / str(place))["top"].training
        plain = training.batches(stage, first_step=0, cache=None)
        cached = training.batches(stage, first_step=0, cache=cache)
        for one, other in zip(cached, plain, strict=True):
            with torch.inference_mode():
                expected = chain.run(Normalise(images.preprocessing, CPU)(other.inputs[0]), 0, place)
            torch.testing.assert_close(one.inputs[0].values, expected, rtol=1e-4, atol=1e-5)
            assert one.inputs[0].place == place and torch.equal(one.labels, other.labels)


def test_a_cached_stage_resumes_with_the_batches_that_were_left(images, tmp_path):
    training, stage = training_images(images), fixed_views(2, cut=2, cached=True)
    cache = caches_of(tiny_vit(), (stage,), training, images.val, tmp_path)["top"].training
    everything = [batch.inputs[0].values for batch in training.batches(stage, first_step=0, cache=cache)]
    rest = [batch.inputs[0].values for batch in training.batches(stage, first_step=5, cache=cache)]
    assert len(rest) == 7
    assert all(torch.equal(one, other) for one, other in zip(rest, everything[5:], strict=True))


def test_weights_of_images_take_the_place_of_those_of_classes(images):
    weights = torch.linspace(0.1, 1.9, 10)
    training = training_images(images, image_weights=weights)
    for step, batch in enumerate(training.batches(HEAD, first_step=0, cache=None)):
        assert batch.weights.tolist() == weights[training.step_images(HEAD, step)].tolist()
