import pytest
import torch

from vitrail.models.chain import Chain
from vitrail.models.plain_vit import PlainVitSettings, plain_vit
from vitrail.training.digits_probe import digits_probe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    return plain_vit(PlainVitSettings(width=24, depth=1, heads=2, patch=8), sizes=(16,), classes=6, seed=0)


def test_the_probe_on_digits_is_far_above_chance_repeatable_and_leaves_the_model_alone(network):
    measure = digits_probe(network.preprocessing, CPU, seed=0, batch_size=300)
    chain = Chain(network.model)
    chain.model.train()
    before = {name: tensor.clone() for name, tensor in chain.model.state_dict().items()}
    first = measure(chain)
    assert 0.5 < first < 1
    assert measure(chain) == first
    assert chain.model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in chain.model.state_dict().items())
    chain.model.eval()


def test_the_probe_reads_features_and_not_the_classifier(network):
    measure = digits_probe(network.preprocessing, CPU, seed=0, batch_size=300)
    first = measure(Chain(network.model))
    with torch.no_grad():
        network.model.head.weight.zero_()
    assert measure(Chain(network.model)) == first
    with torch.no_grad():
        network.model.blocks[0].attn.qkv.weight.mul_(3)
    assert measure(Chain(network.model)) != first
