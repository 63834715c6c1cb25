import pytest
import torch
from torch import Tensor, nn

from tests.unit.training.small_job import CPU, PIXELS, tiny_vit
from vitrail.training.precision import (
    BFLOAT16,
    CANDIDATES,
    FLOAT32,
    LEAST_COSINE,
    StepTrial,
    TrainingPrecision,
    fastest_step,
    measure_steps,
    named_precision,
)

PLAIN = CANDIDATES[2]


def trial(seconds: float, agreement: float = 1.0, precision: TrainingPrecision = BFLOAT16) -> StepTrial:
    return StepTrial(precision, seconds, agreement)


def images() -> Tensor:
    return torch.randn(4, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(0))


def loss_in(model: nn.Module):
    def loss_of(precision: TrainingPrecision) -> Tensor:
        with precision.applied(model, CPU):
            return nn.functional.cross_entropy(model(images()).float(), torch.arange(4) % 2)

    return loss_of


def test_the_fastest_whose_gradient_agrees_is_taken():
    exact = trial(1.0, precision=FLOAT32)
    assert fastest_step([exact, trial(0.5), trial(0.4, precision=PLAIN)]).precision is PLAIN
    assert fastest_step([exact, trial(0.5), trial(0.4, LEAST_COSINE - 1e-6, PLAIN)]).precision is BFLOAT16
    assert fastest_step([exact, trial(0.5, LEAST_COSINE)]).precision is BFLOAT16
    assert fastest_step([exact, trial(1.1), trial(1.2, precision=PLAIN)]) is exact
    assert fastest_step([exact, trial(0.1, -1.0)]) is exact
    assert fastest_step([exact]) is exact


def test_a_reference_whose_own_gradient_is_not_finite_stays():
    exact = trial(1.0, -1.0, FLOAT32)
    assert fastest_step([exact, trial(0.5, -1.0)]) is exact


def test_candidates_are_found_by_name():
    assert all(named_precision(each.name) is each for each in CANDIDATES)
    assert len({each.name for each in CANDIDATES}) == len(CANDIDATES)


@pytest.mark.parametrize("precision", CANDIDATES, ids=lambda each: each.name)
def test_a_precision_holds_in_its_block_alone_also_when_the_block_fails(precision):
    model = tiny_vit()
    flags = [block.attn.fused_attn for block in model.blocks]
    with precision.applied(model, CPU):
        assert torch.is_autocast_enabled("cpu") == precision.autocast
        assert all(block.attn.fused_attn is not precision.plain_attention for block in model.blocks) or not any(flags)
    with pytest.raises(RuntimeError, match="stop"), precision.applied(model, CPU):
        raise RuntimeError("stop")
    assert not torch.is_autocast_enabled("cpu")
    assert [block.attn.fused_attn for block in model.blocks] == flags


def test_attention_that_was_never_fused_is_not_switched_on():
    model = tiny_vit()
    model.blocks[0].attn.fused_attn = False
    with PLAIN.applied(model, CPU):
        pass
    assert [block.attn.fused_attn for block in model.blocks] == [False, True, True]


def test_written_out_attention_gives_the_fused_one_but_for_rounding():
    model = tiny_vit()
    plain = TrainingPrecision("plain", plain_attention=True)
    with torch.inference_mode():
        expected = model(images())
        with plain.applied(model, CPU):
            torch.testing.assert_close(model(images()), expected, rtol=1e-4, atol=1e-5)


def test_measuring_leaves_model_gradients_and_random_numbers_as_they_were():
    model = tiny_vit(drop_path=0.5).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    trials = measure_steps(model, loss_in(model), CPU)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert [each.precision for each in trials] == list(CANDIDATES)


def test_gradients_are_compared_under_the_same_random_numbers():
    model = tiny_vit(drop_path=0.5).train()
    trials = measure_steps(model, loss_in(model), CPU, candidates=(FLOAT32, FLOAT32, BFLOAT16))
    torch.manual_seed(99)
    again = measure_steps(model, loss_in(model), CPU, candidates=(FLOAT32, BFLOAT16))
    assert again[1].agreement == trials[2].agreement, "nor do the caller's random numbers matter"
    assert [trials[0].agreement, trials[1].agreement] == pytest.approx([1, 1], abs=1e-9)
    assert LEAST_COSINE < trials[2].agreement < 1
    assert all(0 < each.seconds < 60 for each in trials)


def test_another_gradient_is_noticed_and_one_that_is_not_finite_never_agrees():
    model = tiny_vit()

    def loss_of(precision: TrainingPrecision) -> Tensor:
        loss = loss_in(model)(FLOAT32)
        return {FLOAT32: loss, BFLOAT16: -loss, PLAIN: loss * float("nan")}[precision]

    agreements = [each.agreement for each in measure_steps(model, loss_of, CPU)]
    assert agreements == pytest.approx([1, -1, -1])


def test_only_trained_layers_count_when_gradients_are_compared():
    model = tiny_vit().requires_grad_(False)
    model.head.requires_grad_(True)
    assert [each.agreement > 0.9 for each in measure_steps(model, loss_in(model), CPU)] == [True] * 3


def test_a_trial_is_told_in_plain_values():
    assert trial(0.123456, 0.9876543).as_json() == {
        "precision": "bfloat16 autocast", "seconds": 0.1235, "gradient_cosine": 0.98765,
    }  # fmt: skip
