import timm
import torch

from vitrail.data.preprocessing import Preprocessing
from vitrail.models.ready import ReadyModel


def test_a_ready_model_with_another_head_has_a_chain_that_knows_it_and_hands_its_chain_on():
    network = timm.create_model("test_vit", num_classes=0, img_size=32).eval()
    ready = ReadyModel(network, Preprocessing(height=32, width=32))
    before = ready.chain
    ready.set_zero_head(3)
    assert {name for name, part in ready.chain.parts.items() if part == before.pooled} == {"head.weight", "head.bias"}
    elsewhere = ready.seen_through(Preprocessing(height=32, width=32, mean=(0.1, 0.1, 0.1)), torch.device("cpu"))
    assert elsewhere.chain is ready.chain
