import numpy as np
import pytest
import timm
import torch
from vitrail.prediction.execution import (
    CANDIDATES,
    EXACT,
    Execution,
    Trial,
    fastest,
    measure_executions,
    named_execution,
)

from tests.conftest import picture
from vitrail.data.preprocessing import Preprocessing

CPU = torch.device("cpu")
SMALL = Preprocessing(height=32, width=32)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=3, num_classes=4).eval()


def batch(count=3):
    return np.stack([SMALL.pixels(picture(seed, size=(40, 40))) for seed in range(count)])


@pytest.mark.parametrize("execution", CANDIDATES, ids=lambda each: each.name)
def test_every_execution_gives_nearly_the_exact_features_and_leaves_the_model_as_it_was(model, execution):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fused = [block.attn.fused_attn for block in model.blocks]
    model.train()
    with execution.applied(model, SMALL, CPU) as forward:
        features, logits = forward(batch())
    assert model.training
    assert [block.attn.fused_attn for block in model.blocks] == fused
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert features.shape == (3, 192)
    assert logits.shape == (3, 4)
    assert features.dtype == logits.dtype == torch.float32
    with EXACT.applied(model.eval(), SMALL, CPU) as forward:
        exact, _ = forward(batch())
    assert torch.nn.functional.cosine_similarity(features, exact).min() > 0.999


def test_the_exact_execution_is_the_model_itself(model):
    with EXACT.applied(model, SMALL, CPU) as forward:
        _, logits = forward(batch())
    inputs = (torch.from_numpy(batch()).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        assert torch.equal(logits, model(inputs))


def test_an_execution_that_disagrees_is_never_chosen_however_fast(model):
    slow, wrong = Trial(EXACT, 10.0, 1.0), Trial(Execution("wrong", "bfloat16"), 1000.0, 0.9)
    right = Trial(Execution("right", "autocast"), 30.0, 0.9995)
    assert fastest([slow, wrong, right]) is right
    assert fastest([slow, wrong]) is slow


def test_features_that_are_not_finite_never_agree(model):
    with torch.no_grad():
        model.norm.weight[0] = 1e38
    trials = measure_executions(model, SMALL, batch(), device=CPU, seconds=0.01)
    model.norm.weight.data[0] = float("nan")
    broken = measure_executions(model, SMALL, batch(), device=CPU, seconds=0.01)
    assert len(trials) == len(CANDIDATES)
    assert all(trial.agreement == -1.0 for trial in broken)


def test_a_measurement_covers_every_candidate_and_names_find_them_again(model):
    trials = measure_executions(model, SMALL, batch(), device=CPU, seconds=0.01)
    assert [named_execution(trial.as_json()["execution"]) for trial in trials] == list(CANDIDATES)
    assert trials[0].agreement == pytest.approx(1.0)
    assert all(trial.images_per_second > 0 for trial in trials)
