import numpy as np
import pytest
import torch

from tests.conftest import picture
from vitrail.basics.errors import InputError
from vitrail.features.store.chosen_runtime import chosen_runtime
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings
from vitrail.prediction.runtimes.runtime import Readout
from vitrail.prediction.runtimes.torch_runtime import EXACT


def test_a_runtime_is_judged_by_what_will_be_read_of_the_model():
    ready = build_model(ModelSettings(name="test_vit", pretrained=False, image_size=32))
    signs = Readout("signs", lambda _: lambda x: (x.flatten(1) * (1 if x.dtype == torch.float32 else -1),))
    sample = np.stack([ready.preprocessing.pixels(picture(seed)) for seed in range(3)])
    assert chosen_runtime("torch float32", None, ready, signs, sample, images=100)[0] == EXACT
    with pytest.raises(InputError, match=r"^torch bfloat16 disagrees with torch float32"):
        chosen_runtime("torch bfloat16", None, ready, signs, sample, images=100)
