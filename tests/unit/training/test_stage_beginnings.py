import dataclasses

import numpy as np
import pytest
import torch

from tests.unit.training.objectives.small_runs import Around, assert_same_bytes, left_by
from tests.unit.training.small_job import pictures, prepared_job, tiny_vit, training_images
from tests.unit.training.test_loop import at_step, interrupt
from vitrail.models.inputs import Pixels
from vitrail.training.stages import CLASSIFICATION, Stage


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), train=6, val=4)


class Scored(Around):
    """Classification that gives epochs the scores it is told, whatever the model is."""

    def __init__(self, objective, next_score):
        super().__init__(objective, lambda loss, *_: loss)
        self.next_score = next_score

    def judge(self, chain, held_out, *, cache=None):
        found = self.objective.judge(chain, held_out, cache=cache)
        return dataclasses.replace(found, score=self.next_score())


def scored(job, scores):
    """The job, each epoch with its score; the judgement behind the last step, of training images, gets one too."""

    def next_score():
        told = job.metrics.read_text().count('"kind": "epoch"')
        return scores[min(told, len(scores) - 1)]

    given = {name: Scored(objective, next_score) for name, objective in job.objectives.items()}
    return dataclasses.replace(job, objectives=given)


def two_stages(job, *, begins="best"):
    """Three epochs that release one block after the other, the first one best; then one of everything."""
    top = Stage("top", 3, 1e-2, 1, 3, None, cached=False)
    return dataclasses.replace(job, stages=(top, Stage("all", 1, 1e-2, 0, 0, None, cached=False, begins=begins)))


SCORES = [0.2, 0.3, 0.4, 0.5]


def weights_seen_at(job, stage, step):
    """What the model is as the loss of a step is computed."""
    seen = {}

    def look(loss, _batches, at):
        if (at.stage.name, at.step) == (stage, step):
            seen.update({name: value.clone() for name, value in job.chain.model.state_dict().items()})
        return loss

    for objective in job.objectives.values():
        objective.around = look
    return job, seen


def test_a_stage_begins_with_the_best_weights_of_the_one_before_all_of_them(images, tmp_path):
    def job(name, **kwargs):
        return scored(two_stages(prepared_job(tiny_vit(), images, tmp_path / name), **kwargs), SCORES)

    one, behind_first_epoch = weights_seen_at(job("one"), "top", 2)
    left_by(one)
    other, at_beginning = weights_seen_at(job("other"), "all", 0)
    left_by(other)
    last, of_last_step = weights_seen_at(job("last", begins="last"), "all", 0)
    left_by(last)
    assert not [name for name, value in behind_first_epoch.items() if not torch.equal(at_beginning[name], value)]
    moved = [name for name, value in behind_first_epoch.items() if not torch.equal(of_last_step[name], value)]
    assert any(name.startswith("blocks.0") for name in moved), "a block that was released behind the best epoch"


@pytest.mark.parametrize("number", [6, 7])  # the last step of the first stage, and the first one of the second
def test_a_stage_begins_with_the_best_weights_also_after_a_kill_around_its_beginning(number, images, tmp_path):
    def job(name):
        return scored(two_stages(prepared_job(tiny_vit(drop_path=0.4), images, tmp_path / name)), SCORES)

    whole = left_by(job("whole"))
    with pytest.raises(KeyboardInterrupt):
        left_by(job("stopped"), emit=at_step(number, interrupt))
    assert_same_bytes(left_by(job("stopped")), whole)


def test_a_stage_begins_with_the_best_weights_also_after_a_kill_behind_its_first_step(images, tmp_path):
    def job(name):
        return scored(two_stages(prepared_job(tiny_vit(drop_path=0.4), images, tmp_path / name)), SCORES)

    whole = left_by(job("whole"))
    with pytest.raises(KeyboardInterrupt):  # in the second step; a checkpoint stands behind the first
        left_by(job("stopped"), emit=at_step(8, interrupt))
    assert_same_bytes(left_by(job("stopped")), whole)


def test_every_stage_has_its_own_best_and_the_run_the_best_of_all(images, tmp_path):
    job = scored(two_stages(prepared_job(tiny_vit(), images, tmp_path)), [0.2, 0.1, 0.4, 0.5])
    state = left_by(job)[1]["state"]
    assert state["best"] == {"epoch": 2, "score": 0.1, "stage": 0}
    assert state["stage_best"] == {"epoch": 4, "score": 0.5, "stage": 1}


def test_scores_of_different_objectives_are_not_compared(images, tmp_path):
    job = two_stages(prepared_job(tiny_vit(), images, tmp_path))
    last = dataclasses.replace(job.stages[1], objective="other", epochs=2)
    other = dataclasses.replace(job.objectives[CLASSIFICATION])
    job = dataclasses.replace(job, stages=(job.stages[0], last), objectives={**job.objectives, "other": other})
    state = left_by(scored(job, [0.2, 0.1, 0.4, 7.0, 8.0]))[1]["state"]
    assert state["best"] == state["stage_best"] == {"epoch": 4, "score": 7.0, "stage": 1}


def test_pictures_have_the_sizes_of_their_stage_in_turn_also_from_a_later_step(images):
    training = training_images(images, per_step=3)
    stage = Stage("all", 3, 1e-2, 0, 0, None, cached=False, sizes=(8, 24))
    batches = [*training.batches(stage, first_step=0, cache=None)]
    assert [batch.inputs[0].values.shape[1:3] for batch in batches] == [(8, 8)] * 3 + [(24, 24)] * 3
    later = [*training.batches(stage, first_step=2, cache=None)]
    for found, expected in zip(later, batches[2:], strict=True):
        assert isinstance(found.inputs[0], Pixels)
        np.testing.assert_array_equal(found.inputs[0].values, expected.inputs[0].values)
        np.testing.assert_array_equal(found.rows, expected.rows)
    own = next(training.batches(dataclasses.replace(stage, sizes=()), first_step=0, cache=None))
    assert own.inputs[0].values.shape[1:3] == (16, 16)


def test_a_run_whose_sizes_change_is_the_same_byte_for_byte_when_it_was_stopped(images, tmp_path):
    def job(name):
        prepared = prepared_job(tiny_vit(drop_path=0.4, dynamic_img_size=True), images, tmp_path / name)
        stage = Stage("all", 3, 1e-2, 0, 0, None, cached=False, sizes=(8, 16, 24))
        return dataclasses.replace(prepared, stages=(stage,))

    whole = left_by(job("whole"))
    for number in (2, 3, 5):
        with pytest.raises(KeyboardInterrupt):
            left_by(job(f"stopped{number}"), emit=at_step(number, interrupt))
        assert_same_bytes(left_by(job(f"stopped{number}")), whole)
