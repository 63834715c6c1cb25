import pytest
import torch

from vitrail.basics.events import nobody
from vitrail.workflows.pretrain.preparation import begin
from vitrail.workflows.pretrain.settings import PretrainSettings

TINY = {"classes": 2, "renderings": 2, "width": 24, "depth": 1, "heads": 2, "patch": 8, "sizes": 16,
        "images_per_step": 2, "device": "cpu"}  # fmt: skip


@pytest.mark.parametrize("asked", [True, False])
def test_blocks_are_computed_twice_where_that_is_asked_for(asked, tmp_path):
    settings = PretrainSettings.gather(**TINY, gradient_checkpointing=asked)
    beginning = begin(settings, images=tmp_path, workers=0, emit=nobody)
    assert beginning.model.model.grad_checkpointing is asked
    assert beginning.batches.normalise.device == torch.device("cpu")
