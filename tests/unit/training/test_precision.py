import pytest
import torch
from torch import Tensor, nn

from tests.unit.training.small_job import CPU, PIXELS, tiny_vit
from vitrail.basics import devices
from vitrail.training.precision import (
    BFLOAT16,
    CANDIDATES,
    FLOAT32,
    LEAST_COSINE,
    StepTrial,
    TrainingPrecision,
    agreeing_step,
    keeping_apart,
    measure_steps,
    named_precision,
    tried_precisions,
)

PLAIN = CANDIDATES[1]


def trial(seconds: float, agreement: float = 1.0, precision: TrainingPrecision = BFLOAT16) -> StepTrial:
    return StepTrial(precision, seconds, agreement)


def images(count: int = 4) -> Tensor:
    return torch.randn(count, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(0))


def wide_apart_or_nearly_alike() -> nn.Module:
    """A network with random weights that tells images apart: position and class token add to what all share."""
    model = tiny_vit()
    with torch.no_grad():
        model.patch_embed.proj.weight.mul_(20)
    return model


def loss_in(model: nn.Module):
    def loss_of(precision: TrainingPrecision) -> Tensor:
        with precision.applied(model, CPU):
            return nn.functional.cross_entropy(model(images()).float(), torch.arange(4) % 2)

    return loss_of


def test_the_first_whose_gradient_agrees_is_taken_however_long_each_of_them_took():
    exact = trial(1.0, precision=FLOAT32)
    for seconds in (0.1, 10.0):  # a busy machine
        assert agreeing_step([exact, trial(seconds, precision=PLAIN), trial(0.5)]).precision is PLAIN
        assert agreeing_step([exact, trial(seconds, LEAST_COSINE - 1e-6, PLAIN), trial(0.5)]).precision is BFLOAT16
        assert agreeing_step([exact, trial(seconds, LEAST_COSINE)]).precision is BFLOAT16
        assert agreeing_step([exact, trial(seconds, -1.0)]) is exact
    assert agreeing_step([exact]) is exact


def test_a_reference_whose_own_gradient_is_not_finite_stays():
    exact = trial(1.0, -1.0, FLOAT32)
    assert agreeing_step([exact, trial(0.5, -1.0)]) is exact


def test_what_is_tried_depends_on_the_hardware_and_on_nothing_that_changes_with_the_day(monkeypatch):
    cuda = torch.device("cuda")
    monkeypatch.setattr(devices, "_processor_flags", lambda: frozenset({"avx512f"}))
    assert tried_precisions("auto", CPU) == (FLOAT32,)
    monkeypatch.setattr(devices, "_processor_flags", lambda: frozenset({"avx512f", "amx_bf16"}))
    assert tried_precisions("auto", CPU) == (FLOAT32, PLAIN, BFLOAT16)
    for capability, expected in (((7, 5), (FLOAT32,)), ((8, 0), (FLOAT32, BFLOAT16)), ((9, 0), (FLOAT32, BFLOAT16))):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        assert tried_precisions("auto", cuda) == expected
    assert tried_precisions("auto", torch.device("mps")) == (FLOAT32,)
    assert tried_precisions("float32", CPU) == (FLOAT32,)
    assert tried_precisions("bfloat16", CPU) == (BFLOAT16,), "as asked for"


def test_blocks_that_are_computed_twice_have_the_same_attention_both_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_processor_flags", lambda: frozenset({"amx_bf16"}))
    model = tiny_vit().train()
    model.set_grad_checkpointing(True)
    for precision in tried_precisions("auto", CPU, computed_twice=True):
        loss_in(model)(precision).backward()
    assert tried_precisions("auto", CPU, computed_twice=True) == (FLOAT32, BFLOAT16)


def test_a_precision_in_which_images_are_no_longer_told_apart_is_not_tried_whatever_its_gradient_says():
    model = wide_apart_or_nearly_alike()
    base = torch.randn(1, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(1))
    apart, alike = images(16), base + 1e-3 * images(16)
    kept, found = keeping_apart(model, apart, CANDIDATES)
    assert kept == CANDIDATES
    assert all(each.keeps_apart for each in found)
    kept, found = keeping_apart(model, alike, CANDIDATES)
    assert kept == (FLOAT32,)
    assert all(each.cosine > 0.999 and each.share_of_spread > 0.05 for each in found), "the old rule let it pass"


def test_candidates_are_found_by_name():
    assert all(named_precision(each.name) is each for each in CANDIDATES)
    assert len({each.name for each in CANDIDATES}) == len(CANDIDATES)


@pytest.mark.parametrize("precision", CANDIDATES, ids=lambda each: each.name)
def test_a_precision_holds_in_its_block_alone_also_when_the_block_fails(precision):
    model = tiny_vit()
    flags = [block.attn.fused_attn for block in model.blocks]
    with precision.applied(model, CPU):
        assert torch.is_autocast_enabled("cpu") == (precision.products == "bfloat16")
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


def test_what_is_dropped_by_lot_does_not_count_when_gradients_are_compared():
    model = tiny_vit(proj_drop_rate=0.5, attn_drop_rate=0.5).train()
    plain = TrainingPrecision("plain", plain_attention=True)
    trials = measure_steps(model, loss_in(model), CPU, candidates=(FLOAT32, plain))
    assert trials[1].agreement == pytest.approx(1, abs=1e-6)
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.0, 0.5}


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
