"""What holds for a converted model whatever library runs it."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch

from tests.unit.prediction.runtimes.small_model import CPU, SMALL, batch, small_model
from vitrail.basics.errors import InputError
from vitrail.models.heads import features_and_logits
from vitrail.models.inputs import Pixels
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.runtimes.converted import ConvertedRuntime
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS, Readout


@dataclass(frozen=True)
class Forgetful:
    """A library that answers as torch does, but is a twentieth off in the second of the things that are read."""

    name: str = "forgetful"
    packages: tuple[str, ...] = ()

    def require(self, _precision):
        pass

    def convert(self, _module, _example, folder):
        (folder / "model").touch()

    def opened(self, _folder, *, precision, callers, cores):
        model = small_model()

        def run(pixels):
            with torch.inference_mode():
                first, second = features_and_logits(model, Normalise(SMALL, CPU)(Pixels(pixels)))
            return [first.numpy(), (second + 0.05 * second.abs().max()).numpy()]

        return run


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path))


def test_everything_that_is_read_must_agree_but_logits_need_not_keep_their_direction():
    runtime, model = ConvertedRuntime(Forgetful(), "bfloat16"), small_model()
    two = Readout("two nodes", lambda model: lambda images: features_and_logits(model, images))
    with runtime.applied(model, SMALL, CPU, readout=two) as forward, pytest.raises(InputError) as refusal:
        forward(Pixels(batch()))
    assert str(refusal.value).startswith(
        "forgetful bfloat16 disagrees with torch float32 on these images: least cosine 0.9"
    )
    with runtime.applied(model, SMALL, CPU, readout=FEATURES_AND_LOGITS) as forward:
        assert len(forward(Pixels(batch()))) == 2


def test_models_that_threads_prepare_at_once_are_converted_one_after_the_other():
    inside, most = [], []

    @dataclass(frozen=True)
    class Watched(Forgetful):
        def convert(self, _module, _example, folder):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()
            (folder / "model").touch()

    def answered(number):
        model = small_model()
        model.head.bias.data[0] += number  # another model each
        applied = ConvertedRuntime(Watched(), "bfloat16").applied(model, SMALL, CPU)
        with contextlib.suppress(InputError), applied as forward:  # it disagrees with what it was not made of
            forward(Pixels(batch()))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(answered, range(3)))
    assert most == [1, 1, 1]
