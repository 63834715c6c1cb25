"""What every objective promises, those of this package and two that were written as a stranger would write them."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.unit.training.objectives.small_runs import NORMALISE, averaged_teacher, stages, two_sources, vit
from tests.unit.training.small_job import CPU, PIXELS, pictures, training_images
from vitrail.models.chain import Chain
from vitrail.models.modes import modes_of
from vitrail.training.batch import in_parts
from vitrail.training.formula_batches import FormulaBatches
from vitrail.training.formula_views import FormulaViewSettings
from vitrail.training.objectives.classification import Classification
from vitrail.training.objectives.objective import Moment, Objective
from vitrail.training.parameter_groups import freeze_below
from vitrail.training.precision import FLOAT32
from vitrail.training.stages import Stage
from vitrail.training.validation import Validation

CLASSES = ("red", "green")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), train=6, val=4)


def of_images(chain, images):
    return Classification(training_images(images), NORMALISE, CLASSES, label_smoothing=0.1)


def of_formula_images(chain, images):
    stored = np.random.default_rng(0).integers(0, 256, (6, PIXELS, PIXELS, 3), dtype=np.uint8)
    views = FormulaViewSettings(mixup=0.5)
    return Classification(FormulaBatches(stored, np.arange(6) % 2, 2, views, NORMALISE, 4, 2, 0), NORMALISE, CLASSES)


OBJECTIVES = {
    "classification of images": of_images,
    "classification of formula images": of_formula_images,
    "averaged teacher": averaged_teacher,
    "two sources": lambda chain, images: two_sources(chain, images, of_images(chain, images)),
}


@dataclasses.dataclass
class Case:
    """A model, all of it trained, and an objective; `drop_path`: whether the model draws by lot."""

    name: str
    images: object
    drop_path: float = 0.0

    def __post_init__(self):
        self.chain = Chain(vit(drop_path=self.drop_path))
        self.objective = OBJECTIVES[self.name](self.chain, self.images)
        self.stage: Stage = stages(self.name, epochs=(1, 2))[1]
        freeze_below(self.chain, 0)
        self.objective.modules.train()

    def at(self, step):
        return Moment(self.stage, step, step // self.objective.steps_per_epoch, 0.25)

    def batches(self, first_step=0):
        return [*self.objective.batches(self.stage, first_step=first_step)]

    def loss(self, batches, step=0):
        torch.manual_seed(step)
        return self.objective.loss(self.chain, batches, at=self.at(step), precision=FLOAT32)

    def after(self, gathered, step, *, applied):
        with torch.no_grad():
            self.objective.after_step(self.chain, gathered, at=self.at(step), applied=torch.tensor(applied))

    def held_out(self):
        return Validation(self.images.val, self.images.preprocessing, 4, 0)

    def everything(self):
        kept = {**self.chain.model.state_dict(), **self.objective.modules.state_dict(prefix="modules ")}
        return {name: value.clone() for name, value in kept.items()}


@pytest.fixture(params=OBJECTIVES)
def case(request, images):
    return Case(request.param, images)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    assert not [name for name, value in expected.items() if not torch.equal(found[name], value)]


def test_it_is_an_objective(case):
    assert isinstance(case.objective, Objective)


def test_parts_of_a_step_add_up_to_the_whole_or_it_says_that_they_do_not(case):
    if not case.objective.divisible:
        return
    for batches in case.batches()[:2]:
        whole, gathered = case.loss(batches)
        for at_once in (1, 2, 3):
            parts = [case.loss(part) for part in in_parts(batches, at_once)]
            assert len(parts) > 1 or at_once > 1
            assert sum(loss.item() for loss, _ in parts) == pytest.approx(whole.item(), rel=1e-5)
            for name, value in gathered.items():
                torch.testing.assert_close(sum(left[name] for _, left in parts), value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_loss_is_a_function_of_seed_stage_and_step_alone(name, images):
    one, other = (Case(name, images, drop_path=0.4) for _ in range(2))
    losses = [one.loss(batches, step)[0].item() for step, batches in enumerate(one.batches())]
    assert len(losses) == 2 * one.objective.steps_per_epoch and len(set(losses)) == len(losses)
    torch.rand(3)
    for first_step in (1, 3):
        later = [other.loss(batches, first_step + i)[0].item() for i, batches in enumerate(other.batches(first_step))]
        assert later == losses[first_step:]


def test_a_loss_leaves_behind_nothing_but_its_gradient(case):
    batches = case.batches()[0]
    modes, before = modes_of(case.chain.model), case.everything()
    inside = modes_of(case.objective.modules)
    first = case.loss(batches)[0].item()
    assert_equal(case.everything(), before)
    assert modes_of(case.chain.model) == modes and modes_of(case.objective.modules) == inside
    assert case.loss(batches)[0].item() == first


def test_what_is_frozen_gets_no_gradient(case):
    freeze_below(case.chain, 3)
    case.stage = stages(case.name)[0]
    case.loss(case.batches()[0])[0].backward()
    given = {name for name, parameter in case.chain.model.named_parameters() if parameter.grad is not None}
    assert given and not [name for name in given if case.chain.parts[name] < 3]
    for name, parameter in case.objective.modules.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize("spoiled", [False, True])
def test_behind_a_step_that_was_skipped_nothing_has_changed(spoiled, case):
    _, gathered = case.loss(case.batches()[0])
    left = {name: value.detach() * (torch.nan if spoiled else 1) for name, value in gathered.items()}
    before = case.everything()
    case.after(left, 0, applied=0.0)
    assert_equal(case.everything(), before)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_stands_beside_the_model_is_put_back_by_its_state_dict(name, images):
    one, other = (Case(name, images) for _ in range(2))
    with torch.no_grad():
        for value in [*one.objective.modules.parameters(), *one.chain.model.parameters()]:
            value.add_(0.01 * torch.randn(value.shape, generator=torch.Generator().manual_seed(value.numel())))
    _, gathered = one.loss(one.batches()[0])
    one.after({name: value.detach() for name, value in gathered.items()}, 0, applied=1.0)
    other.chain.model.load_state_dict(one.chain.model.state_dict())
    other.objective.modules.load_state_dict(one.objective.modules.state_dict())
    assert torch.equal(one.loss(one.batches(1)[0], 1)[0], other.loss(other.batches(1)[0], 1)[0])
    found, expected = (
        each.objective.judge(each.objective.judged(each.chain), each.held_out()) for each in (other, one)
    )
    assert (found.score, found.loss, found.figures) == (expected.score, expected.loss, expected.figures)


def test_judging_leaves_modes_gradients_weights_and_random_numbers_as_they_were(case):
    case.loss(case.batches()[0])[0].backward()
    judged = case.objective.judged(case.chain)
    watched = [case.chain.model, judged.model, case.objective.modules]
    gradients = [parameter.grad.clone() for parameter in case.chain.model.parameters() if parameter.grad is not None]
    asked = [parameter.requires_grad for module in watched for parameter in module.parameters()]
    modes, before, state = [modes_of(module) for module in watched], case.everything(), torch.get_rng_state()
    found = case.objective.judge(judged, case.held_out())
    assert np.isfinite(found.score) and np.isfinite(found.loss)
    assert found.figures and all(np.isfinite(value) for value in found.figures.values())
    assert torch.equal(torch.get_rng_state(), state)
    assert [modes_of(module) for module in watched] == modes
    assert [parameter.requires_grad for module in watched for parameter in module.parameters()] == asked
    assert_equal(case.everything(), before)
    after = [parameter.grad for parameter in case.chain.model.parameters() if parameter.grad is not None]
    assert all(torch.equal(one, other) for one, other in zip(after, gradients, strict=True))


def test_the_images_of_a_step_have_names(case):
    names = case.objective.names(case.stage, 1)
    assert len(names) in [len(batch) for batch in case.batches(1)[0].values()]
    assert all(isinstance(name, str) and name for name in names)


def test_the_judged_model_has_the_parameters_of_the_trained_one(case):
    judged = case.objective.judged(case.chain)
    assert judged.model.state_dict().keys() == case.chain.model.state_dict().keys()
    assert next(judged.model.parameters()).device == CPU
