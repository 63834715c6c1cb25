import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from tests.unit.training.small_job import CPU, PIXELS, tiny_resnet, tiny_vit
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.chain import Chain
from vitrail.models.inputs import Pixels, States
from vitrail.prediction.normalise import Normalise
from vitrail.training.batch import Batch
from vitrail.training.loss_scale import NoLossScale
from vitrail.training.objectives.classification import Classification
from vitrail.training.objectives.objective import Moment
from vitrail.training.objectives.supervised import balanced_weights, summed_cross_entropy
from vitrail.training.parameter_groups import freeze_below, made_optimizer, set_rates
from vitrail.training.precision import BFLOAT16, FLOAT32
from vitrail.training.settings import TrainingSettings
from vitrail.training.stages import Stage
from vitrail.training.step import StepRule, train_step

NORMALISE = Normalise(Preprocessing(height=PIXELS, width=PIXELS), CPU)
RULE = StepRule(FLOAT32, NoLossScale(), 0.0, CPU)
OPTIMIZERS = ["adamw", "sgd"]


class NoImages:
    """Training data for steps whose batches are given."""

    seed, steps_per_epoch = 0, 1

    def batches(self, stage, *, first_step, cache):
        raise NotImplementedError

    def names(self, stage, step):
        raise NotImplementedError


class Lost(Classification):
    """A loss that a test makes up, part by part."""

    def loss(self, chain, batches, *, at, precision):
        return self.made_up(chain), {}


def lost(made_up) -> Lost:
    objective = Lost(NoImages(), NORMALISE, ("red", "green"))
    object.__setattr__(objective, "made_up", made_up)
    return objective


def batch(count: int = 7, *, weights: list[float] | None = None) -> Batch:
    generator = np.random.default_rng(0)
    pixels = Pixels(generator.integers(0, 256, (count, PIXELS, PIXELS, 3), dtype=np.uint8))
    given = torch.tensor(weights) if weights else torch.ones(count)
    return Batch((pixels,), np.arange(count), given, torch.arange(count) % 2)


def with_states(given: Batch, values: torch.Tensor, place: int) -> Batch:
    return dataclasses.replace(given, inputs=(States(values, place),))


def spoiled() -> Batch:
    """States instead of pixels, one of them infinite."""
    inputs = NORMALISE(batch().inputs[0])
    inputs[3, 0, 0, 0] = torch.inf
    return with_states(batch(), inputs, 0)


class Trainer:
    """A model with its optimiser, all of it trained at a constant rate."""

    def __init__(
        self, model: nn.Module, kind: str = "adamw", *, rate=0.01, place: int = 0, objective=None, **settings
    ) -> None:
        self.model, self.place = model, place
        self.chain = Chain(model)
        chosen = TrainingSettings.parse(optimizer=kind, **settings)
        self.objective = objective or Classification(NoImages(), NORMALISE, ("red", "green"), chosen.label_smoothing)
        self.optimizer = made_optimizer(self.chain, chosen)
        set_rates(self.optimizer, rate, 1.0)
        freeze_below(self.chain, place)

    def step(self, given: Batch, *, rule: StepRule = RULE, at_once: int = 99) -> tuple[float, float]:
        at = Moment(Stage("test", 1, 0.01, self.place, 0, None, cached=False), 0, 0, 0.0)
        done = train_step(
            self.chain, self.optimizer, self.objective, {"labelled": given}, rule, at=at, most_at_once=at_once
        )
        return float(done.loss), float(done.skipped)

    def gradients(self) -> dict[str, torch.Tensor]:
        return {name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None}

    def everything(self) -> dict[str, torch.Tensor]:
        """Weights, buffers, and all that the optimiser remembers."""
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        kept = {f"{names[p]} {field}": v for p, facts in self.optimizer.state.items() for field, v in facts.items()}
        return {name: value.clone() for name, value in {**self.model.state_dict(), **kept}.items()}


def plain_loss(model: nn.Module, given: Batch, **named) -> torch.Tensor:
    return nn.functional.cross_entropy(model(NORMALISE(given.inputs[0])), given.labels, **named)


@pytest.mark.parametrize("weights", [None, [1.0, 0.2, 3.0, 0.5, 1.0, 2.0, 0.1]])
@pytest.mark.parametrize("at_once", [1, 2, 3, 6])  # parts of 7: also a smaller last one, and a last one of 1
def test_a_step_in_parts_has_the_gradient_and_the_loss_of_the_whole_step(at_once, weights):
    whole, parts = Trainer(tiny_vit(), "sgd"), Trainer(tiny_vit(), "sgd")
    loss = whole.step(batch(weights=weights))
    assert parts.step(batch(weights=weights), at_once=at_once) == pytest.approx(loss, rel=1e-5)
    expected = whole.gradients()
    for name, gradient in parts.gradients().items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)
    for name, value in parts.model.state_dict().items():
        torch.testing.assert_close(value, whole.model.state_dict()[name], rtol=1e-4, atol=1e-6, msg=name)


def test_the_loss_is_that_of_torch_averaged_over_images():
    trainer = Trainer(tiny_vit())
    expected = plain_loss(tiny_vit(), batch()).item()
    assert trainer.step(batch()) == (pytest.approx(expected, rel=1e-6), 0.0)


def test_class_weights_are_those_of_torch():
    weights = torch.tensor([0.3, 1.9])
    expected = plain_loss(tiny_vit(), batch(), weight=weights).item()
    given = dataclasses.replace(batch(), weights=weights[batch().labels])
    assert Trainer(tiny_vit()).step(given, at_once=2)[0] == pytest.approx(expected, rel=1e-5)


def test_balanced_weights_make_every_class_count_the_same_and_average_to_one():
    labels = np.array([0, 0, 0, 1, 2, 2])
    weights = balanced_weights(labels, 3)
    torch.testing.assert_close(weights, torch.tensor([6 / 9, 6 / 3, 6 / 6]))
    assert float(weights[labels].mean()) == pytest.approx(1)
    assert torch.isfinite(balanced_weights(labels, 4)).all(), "a class without images"


def test_label_smoothing_is_that_of_torch():
    expected = plain_loss(tiny_vit(), batch(), label_smoothing=0.2).item()
    assert Trainer(tiny_vit(), label_smoothing=0.2).step(batch(), at_once=3)[0] == pytest.approx(expected, rel=1e-5)
    logits, labels = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
    by_hand = 0.85 * np.log(1 + 2 * np.exp(-2)) + 0.15 * (2 + np.log(1 + 2 * np.exp(-2)))
    smoothed = summed_cross_entropy(logits, labels, torch.ones(1), label_smoothing=0.225)
    assert float(smoothed) == pytest.approx(by_hand, rel=1e-6)


def test_shares_of_classes_are_the_mean_of_their_losses_with_smoothing_too():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]])
    ones = torch.ones(2)
    for smoothing in (0.0, 0.3):
        first, second = (
            summed_cross_entropy(logits, torch.tensor(labels), ones, label_smoothing=smoothing)
            for labels in ([0, 2], [1, 2])
        )
        shares = torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]])
        mixed = summed_cross_entropy(logits, shares, ones, label_smoothing=smoothing)
        assert float(mixed) == pytest.approx(0.75 * float(first) + 0.25 * float(second), rel=1e-6)


@pytest.mark.parametrize("clip", [1e-3, 0.5, 1e6])
def test_the_gradient_is_clipped_as_torch_clips_it(clip):
    model = tiny_vit().train()
    plain_loss(model, batch()).backward()
    norm = float(clip_grad_norm_(model.parameters(), clip))
    assert norm > 0.5
    trainer = Trainer(tiny_vit(), "sgd")
    trainer.step(batch(), rule=dataclasses.replace(RULE, clip=clip))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(trainer.gradients()[name], parameter.grad, rtol=1e-4, atol=1e-8, msg=name)


def test_a_step_in_parts_is_clipped_by_the_norm_of_the_whole():
    rule = dataclasses.replace(RULE, clip=0.1)
    trainer = Trainer(tiny_vit(), "sgd")
    trainer.step(batch(), rule=rule, at_once=2)
    total = torch.stack([gradient.norm() for gradient in trainer.gradients().values()]).norm()
    assert float(total) == pytest.approx(0.1, rel=1e-4)


def test_without_clipping_the_gradient_stays_as_it_is():
    model = tiny_vit().train()
    plain_loss(model, batch()).backward()
    trainer = Trainer(tiny_vit(), "sgd")
    trainer.step(batch())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(trainer.gradients()[name], parameter.grad, rtol=1e-4, atol=1e-8, msg=name)


def test_adamw_takes_the_steps_worked_out_by_hand():
    trainer = Trainer(tiny_vit(), weight_decay=0.1, layer_decay=0.5, rate=0.01)
    decays = {name: group["weight_decay"] for group in trainer.optimizer.param_groups for name in group["names"]}
    scales = {name: group["rate_scale"] for group in trainer.optimizer.param_groups for name in group["names"]}
    assert set(decays.values()) == {0.0, 0.1} and min(scales.values()) < 0.1 < max(scales.values()) == 1
    expected = {name: value.double() for name, value in trainer.model.state_dict().items()}
    first, second = dict.fromkeys(expected, 0.0), dict.fromkeys(expected, 0.0)
    for number in (1, 2):
        trainer.step(batch())
        for name, gradient in trainer.gradients().items():
            first[name] = 0.9 * first[name] + 0.1 * gradient.double()
            second[name] = 0.999 * second[name] + 0.001 * gradient.double() ** 2
            unbiased = first[name] / (1 - 0.9**number), second[name] / (1 - 0.999**number)
            rate = 0.01 * scales[name]
            expected[name] *= 1 - rate * decays[name]
            expected[name] -= rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8)
    for name, value in trainer.model.state_dict().items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_sgd_takes_the_steps_worked_out_by_hand():
    trainer = Trainer(tiny_vit(), "sgd", weight_decay=0.1, layer_decay=1.0, momentum=0.8, rate=0.01)
    decays = {name: group["weight_decay"] for group in trainer.optimizer.param_groups for name in group["names"]}
    expected = {name: value.double() for name, value in trainer.model.state_dict().items()}
    momentum = dict.fromkeys(expected, 0.0)
    for _ in range(3):
        trainer.step(batch())
        for name, gradient in trainer.gradients().items():
            momentum[name] = 0.8 * momentum[name] + gradient.double() + decays[name] * expected[name]
            expected[name] = expected[name] - 0.01 * momentum[name]
    for name, value in trainer.model.state_dict().items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("good_steps", [0, 2])
@pytest.mark.parametrize("build", [tiny_vit, tiny_resnet])
def test_a_step_that_is_not_finite_changes_nothing_and_is_told(kind, good_steps, build):
    trainer = Trainer(build(), kind)
    for _ in range(good_steps):
        assert trainer.step(batch())[1] == 0
    before = trainer.everything()
    loss, skipped = trainer.step(spoiled())
    assert not np.isfinite(loss) and skipped == 1
    after = trainer.everything()
    for name, value in before.items():
        assert torch.equal(after[name], value), name
    fresh = {name: value for name, value in after.items() if name not in before}
    assert not any(value.any() for value in fresh.values()), "moments that begin at zero are no change"


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_after_a_step_that_was_skipped_training_goes_on_as_if_it_had_not_been(kind):
    disturbed, undisturbed = Trainer(tiny_vit(), kind), Trainer(tiny_vit(), kind)
    disturbed.step(spoiled())
    for trainer in (disturbed, undisturbed):
        trainer.step(batch())
        trainer.step(batch(4))
    for name, value in undisturbed.everything().items():
        assert torch.equal(disturbed.everything()[name], value), name


@pytest.mark.parametrize("worst", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_part_is_enough_to_skip_the_step(worst):
    parts, before = iter([1.0, worst, 1.0, 1.0]), Trainer(tiny_vit()).model.state_dict()
    some_bad = lost(lambda chain: chain.model.norm.weight.sum() * next(parts))
    trainer = Trainer(tiny_vit(), "sgd", objective=some_bad)
    assert trainer.step(batch(), at_once=2)[1] == 1
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())


def test_a_finite_loss_with_a_gradient_that_is_not_finite_is_skipped():
    steep = lost(lambda chain: (chain.model.norm.bias[0] * 0).sqrt())  # of 0: slope infinite
    trainer, before = Trainer(tiny_vit(), objective=steep), tiny_vit().state_dict()
    loss, skipped = trainer.step(batch())
    assert (loss, skipped) == (0.0, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())


def test_what_is_frozen_gets_no_gradient_and_does_not_move():
    trainer = Trainer(tiny_vit(), place=3)
    before = trainer.everything()
    trainer.step(batch())
    frozen = {name for name, part in trainer.chain.parts.items() if part < 3}
    assert frozen and not frozen & set(trainer.gradients())
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == set(trainer.chain.parts) - frozen


def test_moving_statistics_follow_good_steps():
    trainer = Trainer(tiny_resnet())
    plain = tiny_resnet().train()
    plain_loss(plain, batch())
    trainer.step(batch())
    assert int(trainer.model.bn1.num_batches_tracked) == 1
    torch.testing.assert_close(trainer.model.bn1.running_mean, plain.bn1.running_mean)


def test_a_step_that_runs_out_of_memory_leaves_moving_statistics_as_they_were():
    parts, before = iter([True, False]), tiny_resnet().state_dict()

    def limited(chain):
        loss = chain.model(NORMALISE(batch().inputs[0])).sum()
        if not next(parts):
            raise torch.OutOfMemoryError("out of memory")
        return loss

    trainer = Trainer(tiny_resnet(), objective=lost(limited))
    with pytest.raises(torch.OutOfMemoryError):
        trainer.step(batch(), at_once=4)
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())


def test_states_at_a_cut_give_the_step_that_pixels_give():
    from_pixels, from_states = Trainer(tiny_vit(), "sgd", place=2), Trainer(tiny_vit(), "sgd", place=2)
    with torch.no_grad():
        states = from_states.chain.run(NORMALISE(batch().inputs[0]), 0, 1)
    given = with_states(batch(), states, 1)
    assert from_states.step(given) == pytest.approx(from_pixels.step(batch()), rel=1e-6)
    for name, value in from_pixels.model.state_dict().items():
        torch.testing.assert_close(from_states.model.state_dict()[name], value, rtol=1e-5, atol=1e-7, msg=name)


def test_in_bfloat16_weights_gradients_and_moments_stay_float32_and_come_out_alike():
    exact, fast = Trainer(tiny_vit()), Trainer(tiny_vit())
    exact.step(batch())
    fast.step(batch(), rule=dataclasses.replace(RULE, precision=BFLOAT16))
    assert {value.dtype for value in fast.everything().values()} == {torch.float32}
    one, other = (torch.cat([g.flatten() for g in each.gradients().values()]) for each in (exact, fast))
    assert not torch.equal(one, other)
    assert float(nn.functional.cosine_similarity(one, other, dim=0)) > 0.99


def test_the_head_alone_is_trained_exactly_whatever_the_precision():
    place = Chain(tiny_vit()).pooled
    exact, fast = Trainer(tiny_vit(), place=place), Trainer(tiny_vit(), place=place)
    with torch.no_grad():
        features = exact.chain.run(NORMALISE(batch().inputs[0]), 0, place)
    given = with_states(batch(), features, place)
    exact.step(given)
    fast.step(copy.copy(given), rule=dataclasses.replace(RULE, precision=BFLOAT16))
    assert all(torch.equal(value, exact.everything()[name]) for name, value in fast.everything().items())
