import pytest
import torch

from tests.unit.prediction.runtimes.small_model import CPU, SMALL, batch, small_model
from vitrail.models.inputs import Pixels
from vitrail.prediction.runtimes.torch_runtime import EAGER, EXACT


@pytest.mark.parametrize("runtime", EAGER, ids=lambda each: each.name)
def test_every_way_gives_nearly_the_exact_features_and_leaves_the_model_as_it_was(runtime):
    model = small_model()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fused = [block.attn.fused_attn for block in model.blocks]
    model.train()
    model.blocks[0].eval()
    with runtime.applied(model, SMALL, CPU) as forward:
        features, logits = forward(Pixels(batch()))
    assert model.training
    assert model.blocks[1].training
    assert not any(module.training for module in model.blocks[0].modules())
    assert [block.attn.fused_attn for block in model.blocks] == fused
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert features.shape == (3, 192)
    assert logits.shape == (3, 4)
    assert features.dtype == logits.dtype == torch.float32
    with EXACT.applied(model.eval(), SMALL, CPU) as forward:
        exact, _ = forward(Pixels(batch()))
    assert torch.nn.functional.cosine_similarity(features, exact).min() > 0.999


def test_the_exact_way_is_the_model_itself():
    model = small_model()
    with EXACT.applied(model, SMALL, CPU) as forward:
        _, logits = forward(Pixels(batch()))
    inputs = (torch.from_numpy(batch()).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        assert torch.equal(logits, model(inputs))
