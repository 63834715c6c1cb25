"""How many images are computed together."""

import pytest

from vitrail.serving.batch_size import BatchSize


def learnt(base: float, per_image: float, *, most: int = 16) -> BatchSize:
    size = BatchSize(most)
    for images in (1, 2, 4, 8, 1, 2, 4, 8, 16):
        size.learn(images, base + per_image * images)
    return size


def test_batches_grow_where_a_batch_costs_hardly_more_than_an_image_and_stay_small_where_images_add_up() -> None:
    assert learnt(0.1, 0.001).take(16, seconds_left=10.0) >= 12
    assert learnt(0.0, 0.01).take(16, seconds_left=10.0) == 1


def test_a_batch_ends_before_its_first_image_is_too_late() -> None:
    size = learnt(0.1, 0.1)
    assert size.take(16, seconds_left=10.0) > 2
    assert size.take(16, seconds_left=0.35) == 2
    assert size.take(16, seconds_left=-1.0) == 1


@pytest.mark.parametrize("waiting", [1, 3, 100])
def test_before_anything_is_known_all_that_wait_are_taken_up_to_the_most(waiting: int) -> None:
    assert BatchSize(16).take(waiting, seconds_left=1.0) == min(waiting, 16)
    assert BatchSize(1).take(waiting, seconds_left=1.0) == 1


def test_what_an_image_costs_is_the_mean_of_the_latest() -> None:
    assert BatchSize(4).per_image() == 0.0
    size = BatchSize(4)
    for _ in range(100):
        size.learn(2, 1.0)
    for _ in range(64):
        size.learn(4, 1.0)
    assert size.per_image() == pytest.approx(0.25)
