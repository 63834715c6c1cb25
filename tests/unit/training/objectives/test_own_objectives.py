import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.training.objectives.small_runs import (
    NORMALISE,
    around,
    assert_same_bytes,
    averaged_teacher,
    job_of,
    left_by,
    stages,
    two_sources,
    vit,
)
from tests.unit.training.small_job import CPU, pictures, prepared_job, training_images
from tests.unit.training.test_loop import at_step, interrupt
from vitrail.basics.errors import InputError, SystemFault
from vitrail.models.chain import Chain
from vitrail.models.inputs import States
from vitrail.training.loss_scale import NoLossScale
from vitrail.training.objectives.classification import Classification
from vitrail.training.objectives.objective import Moment
from vitrail.training.parameter_groups import freeze_below, made_optimizer, set_rates
from vitrail.training.precision import FLOAT32
from vitrail.training.settings import TrainingSettings
from vitrail.training.step import StepRule, train_step

NAMES = ("averaged teacher", "two sources")
STEPS = 2 + 2
"""Of two stages: six pictures in steps of three, or of four and two."""
RULE = StepRule(FLOAT32, NoLossScale(), 0.0, CPU)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), train=6, val=4)


def moment(objective_name, *, share=0.3):
    return Moment(stages(objective_name)[1], 0, 0, share)


class Trained:
    """A model, one of the objectives, and an optimiser over both."""

    def __init__(self, name, images, *, drop_path=0.0):
        self.chain = Chain(vit(drop_path=drop_path))
        supervised = Classification(training_images(images), NORMALISE, ("red", "green"))
        made = {"averaged teacher": lambda: averaged_teacher(self.chain, images),
                "two sources": lambda: two_sources(self.chain, images, supervised)}  # fmt: skip
        self.objective = made[name]()
        settings = TrainingSettings.parse(optimizer="sgd")
        self.optimizer = made_optimizer(self.chain, settings, {name: self.objective.modules})
        self.at = moment(name)
        self.batches = [*self.objective.batches(self.at.stage, first_step=0)]
        set_rates(self.optimizer, 0.1, 1.0)
        freeze_below(self.chain, 0)
        self.objective.modules.train()

    def step(self, batches, *, at_once=99):
        torch.manual_seed(0)
        return train_step(
            self.chain, self.optimizer, self.objective, batches, RULE, at=self.at, most_at_once=at_once
        )  # fmt: skip

    def loss(self, batches):
        loss, gathered = self.objective.loss(self.chain, batches, at=self.at, precision=FLOAT32)
        return loss, gathered

    def everything(self):
        kept = {**self.chain.model.state_dict(), **self.objective.modules.state_dict(prefix="modules ")}
        return {name: value.clone() for name, value in kept.items()}


def spoiled(batches):
    """The same step with a pixel that is infinite in every source."""
    found = {}
    for source, batch in batches.items():
        given = batch.inputs[0]
        values = (given.values if isinstance(given, States) else NORMALISE(given)).clone()
        values[0, 0, 0, 0] = torch.inf
        found[source] = dataclasses.replace(batch, inputs=(States(values, 0), *batch.inputs[1:]))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_run_stopped_at_any_step_and_run_again_is_the_same_byte_for_byte(name, images, tmp_path):
    whole = left_by(job_of(name, images, tmp_path / "whole"))
    before = job_of(name, images, tmp_path / "before")
    start = before.objectives[name].modules.state_dict()
    still = [key for key, value in start.items() if torch.equal(whole[0][f"{name} {key}"], value)]
    assert all("model.head." in key for key in still), "the classifier is not part of what a student learns"
    assert len(whole[1]["losses"]) == STEPS
    for number in range(1, STEPS + 1):
        folder = tmp_path / f"stopped{number}"
        with pytest.raises(KeyboardInterrupt):
            left_by(job_of(name, images, folder), emit=at_step(number, interrupt))
        assert_same_bytes(left_by(job_of(name, images, folder)), whole)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_that_is_not_finite_changes_neither_model_nor_what_stands_beside_it(name, images):
    trained = Trained(name, images)
    trained.step(trained.batches[0])
    before = trained.everything()
    done = trained.step(spoiled(trained.batches[1]))
    assert float(done.skipped) == 1 and not torch.isfinite(done.loss)
    after = trained.everything()
    assert not [key for key, value in before.items() if not torch.equal(after[key], value)]
    trained.step(trained.batches[1])
    assert [key for key, value in before.items() if not torch.equal(trained.everything()[key], value)]
    assert all(torch.isfinite(value).all() for value in trained.everything().values())


@pytest.mark.parametrize("name", NAMES)
def test_a_run_with_a_skipped_step_ends_the_same_however_often_it_is_stopped(name, images, tmp_path):
    def spoil(loss, _batches, at):
        return loss * float("nan") if (at.stage.name, at.step) == ("all", 0) else loss

    whole = left_by(around(job_of(name, images, tmp_path / "whole"), spoil))
    assert whole[1]["state"]["skipped"] == 1 and whole[1]["losses"][2] is None
    with pytest.raises(KeyboardInterrupt):
        left_by(around(job_of(name, images, tmp_path / "stopped"), spoil), emit=at_step(4, interrupt))
    assert_same_bytes(left_by(around(job_of(name, images, tmp_path / "stopped"), spoil)), whole)


def with_little_memory(job, at_once):
    def limited(loss, batches, at):
        if max(map(len, batches.values())) > at_once:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return loss

    return around(job, limited)


def test_an_averaged_teacher_survives_halving_exactly_as_if_it_had_been_asked_for(images, tmp_path):
    name, journal = "averaged teacher", []
    asked = left_by(job_of(name, images, tmp_path / "asked", accumulate=2))  # of four images: two at once
    job = job_of(name, images, tmp_path / "forced", journal=journal)
    assert_same_bytes(left_by(with_little_memory(job, 2)), asked)
    assert journal == [{"kind": "images_at_once", "stage": 0, "step": 0, "images": 2}]


def test_a_teachers_centre_and_average_are_those_of_the_whole_step_in_any_parts(images):
    whole, parts = (Trained("averaged teacher", images) for _ in range(2))
    for batches in whole.batches:
        one, other = whole.step(batches), parts.step(batches, at_once=1)
        assert float(other.loss) == pytest.approx(float(one.loss), rel=1e-5)
    for key, value in whole.everything().items():
        torch.testing.assert_close(parts.everything()[key], value, rtol=1e-4, atol=1e-5, msg=key)


def test_a_term_over_the_whole_batch_refuses_to_be_computed_in_parts(images, tmp_path):
    job = job_of("two sources", images, tmp_path / "forced")
    with pytest.raises(SystemFault) as caught:
        left_by(with_little_memory(job, 2))
    assert str(caught.value) == (
        "memory does not suffice for a step, and this loss cannot be computed in parts: CUDA out of memory. Tried to "
        "allocate 2.00 GiB.\nhint: take fewer --set images_per_step, a smaller model or --image-size"
    )
    with pytest.raises(InputError) as refused:
        left_by(job_of("two sources", images, tmp_path / "asked", accumulate=2))
    assert str(refused.value) == (
        "this loss is none of single images: steps cannot be computed in parts\nhint: accumulate=1"
    )


def pooled(model, x):
    """What timm calls the features behind the pooling."""
    return model.forward_head(model.forward_features(x), pre_logits=True).detach().double().numpy()


def of_length_one(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def softmax(x):
    shares = np.exp(x - x.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def test_the_averaged_teachers_loss_centre_and_average_are_those_worked_out_by_hand(images):
    trained = Trained("averaged teacher", images)
    student, teacher = copy.deepcopy(trained.chain.model), copy.deepcopy(trained.chain.model)
    head = trained.objective.modules["head"].weight.detach().double().numpy().copy()
    centre, old_head = np.zeros(head.shape[0]), head.copy()
    for batches in trained.batches:
        views = [view.values for view in batches["unlabelled"].inputs]
        assert [view.shape[-1] for view in views] == [16, 16, 8, 8, 8]
        raw = [of_length_one(pooled(teacher, view)) @ old_head.T for view in views[:2]]
        said = [of_length_one(pooled(student, view)) @ head.T for view in views]
        losses = [-(softmax((raw[i] - centre) / 0.5) * np.log(softmax(said[j] / 1.0))).sum(axis=1).mean()
                  for i in range(2) for j in range(5) if i != j]  # fmt: skip
        assert len(losses) == 8 and np.mean(losses) > 0.1
        assert float(trained.step(batches).loss) == pytest.approx(np.mean(losses), rel=1e-4)
        centre = 0.9 * centre + 0.1 * np.concatenate(raw).mean(axis=0)
        student.load_state_dict(trained.chain.model.state_dict())
        head = trained.objective.modules["head"].weight.detach().double().numpy().copy()
        with torch.no_grad():
            for mean, value in zip(teacher.parameters(), student.parameters(), strict=True):
                mean.copy_(0.9 * mean + 0.1 * value)
        old_head = 0.9 * old_head + 0.1 * head
        np.testing.assert_allclose(trained.objective.modules.centre.numpy(), centre, rtol=1e-4, atol=1e-6)
    for mean, value in zip(trained.objective.teacher.model.parameters(), teacher.parameters(), strict=True):
        torch.testing.assert_close(mean, value, rtol=1e-5, atol=1e-6)


def test_the_loss_of_two_sources_and_its_reversed_gradient_are_those_worked_out_by_hand(images):
    trained = Trained("two sources", images)
    batches, model, domain = trained.batches[0], trained.chain.model, trained.objective.modules["domain"]
    x = [NORMALISE(batches[source].inputs[0]) for source in ("labelled", "target")]
    here, there = (model.forward_head(model.forward_features(each), pre_logits=True) for each in x)
    supervised = nn.functional.cross_entropy(model(x[0]), batches["labelled"].labels)
    answers = domain(torch.cat([here, there]))
    told_apart = nn.functional.cross_entropy(answers, torch.tensor([0] * len(here) + [1] * len(there)))
    alike = (torch.cov(here.T) - torch.cov(there.T)).square().sum() / (4 * 24**2)
    loss, _ = trained.loss(batches)
    assert loss.item() == pytest.approx((supervised + told_apart + alike).item(), rel=1e-5)
    loss.backward()
    strength = 2 / (1 + np.exp(-10 * 0.3)) - 1
    of_model = [*model.parameters()]
    expected = torch.autograd.grad(supervised + alike - strength * told_apart, of_model, retain_graph=True)
    for parameter, gradient in zip(of_model, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)
    expected = torch.autograd.grad(told_apart, domain.parameters())
    for parameter, gradient in zip(domain.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-7)


def test_the_teacher_is_what_is_judged_and_kept(images, tmp_path):
    job = job_of("averaged teacher", images, tmp_path, epochs=(1, 1))
    job = dataclasses.replace(job, stages=job.stages[1:])
    tensors, facts = left_by(job)
    objective = job.objectives["averaged teacher"]
    assert [facts["state"]["best"]["epoch"], len(facts["epochs"])] == [1, 1]
    for key, value in objective.teacher.model.state_dict().items():
        assert torch.equal(tensors[f"best {key}"], value), key
    assert not torch.equal(tensors["best norm.weight"], tensors["model norm.weight"])
    found = objective.judge(objective.judged(job.chain), job.validation)
    assert facts["state"]["best"]["score"] == found.score
    shown = np.concatenate([*job.validation.pixels()])
    near = pooled(objective.teacher.model.eval(), torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 127.5 - 1)
    alike = of_length_one(near) @ of_length_one(near).T / 0.1
    np.fill_diagonal(alike, -np.inf)
    same = job.validation.labels[:, None] == job.validation.labels
    assert found.score == pytest.approx(-np.log((softmax(alike) * same).sum(axis=1)).mean(), rel=1e-4)


def test_the_second_source_goes_on_from_any_step_and_is_walked_through_again_and_again(images, tmp_path):
    job = prepared_job(vit(), images, tmp_path)
    objective = two_sources(job.chain, images, job.objectives["classification"])
    stage = stages("two sources", epochs=(1, 3))[1]
    rows = [batches["target"].rows.tolist() for batches in objective.batches(stage, first_step=0)]
    assert [len(each) for each in rows] == [2] * 6
    assert sorted(rows[0] + rows[1]) == sorted(rows[2] + rows[3]) == [0, 1, 2, 3]
    later = [batches["target"].rows.tolist() for batches in objective.batches(stage, first_step=3)]
    assert later == rows[3:]
