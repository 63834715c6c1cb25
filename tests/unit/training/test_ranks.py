import dataclasses

import pytest
import torch

from tests.unit.training.small_job import outcome, pictures, prepared_job, tiny_vit, watched
from vitrail.basics.seeds import derived_seed


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), train=6, val=4)


def test_the_first_of_several_processes_draws_what_one_alone_would_and_every_other_one_something_else():
    drawn = [derived_seed(3, "step", "all", 7, rank=rank) for rank in range(4)]
    assert drawn[0] == derived_seed(3, "step", "all", 7)
    assert len(set(drawn)) == 4
    assert derived_seed(3, "step", "all", 7, "rank 1") == drawn[1], "the rank is one more part of the name"


def test_processes_differ_in_what_a_step_draws_but_not_in_its_images(images, tmp_path):
    def of_rank(rank):
        seeds, shown = [], []

        def look(loss, batches, _at):
            seeds.append(torch.initial_seed())
            shown.append((batches["labelled"].rows.tolist(), batches["labelled"].inputs[0].values.tobytes()))
            return loss

        job = watched(prepared_job(tiny_vit(drop_path=0.4), images, tmp_path / f"rank{rank}"), look)
        return seeds, shown, outcome(dataclasses.replace(job, rank=rank)).weights

    (first, images_of_first, weights), (second, images_of_second, other_weights) = of_rank(0), of_rank(1)
    assert len(first) == 10 and not set(first) & set(second) and len(set(second)) == 10
    assert images_of_first == images_of_second
    assert any(not torch.equal(other_weights[name], value) for name, value in weights.items())
