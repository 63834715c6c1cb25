"""Training on a real GPU: what no fake one can show, the backward pass, half precision, and a resume."""

import dataclasses

import pytest
import torch

from tests.unit.training.objectives.small_runs import job_of, left_by
from tests.unit.training.small_job import pictures, prepared_job, tiny_vit
from tests.unit.training.test_loop import at_step, interrupt
from vitrail.prediction.normalise import Normalise
from vitrail.training.precision import BFLOAT16, FLOAT16, FLOAT32
from vitrail.training.stages import CLASSIFICATION

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
GPU = torch.device("cuda", 0)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), train=6, val=4)


def on_gpu(job):
    """The job, computed on the GPU."""
    job.chain.model.to(GPU)
    normalise = Normalise(job.validation.preprocessing, GPU)
    given = {name: moved(objective, normalise) for name, objective in job.objectives.items()}
    return dataclasses.replace(job, objectives=given, device=GPU)


def moved(objective, normalise):
    objective.modules.to(GPU)
    if dataclasses.is_dataclass(objective):
        return dataclasses.replace(objective, normalise=normalise)
    if hasattr(objective, "supervised"):
        objective.supervised, objective.device = moved(objective.supervised, normalise), GPU
        return objective
    objective.normalise = normalise
    return objective


def labelled(images, folder, precision):
    job = on_gpu(prepared_job(tiny_vit(), images, folder, stages="all", all_epochs=4, optimizer="sgd"))
    return dataclasses.replace(job, precision=precision)


@pytest.mark.parametrize("precision", [FLOAT16, BFLOAT16], ids=lambda each: each.products)
def test_half_precision_trains_about_as_float32_does(precision, images, tmp_path):
    exact, told = left_by(labelled(images, tmp_path / "exact", FLOAT32))
    half, told_half = left_by(labelled(images, tmp_path / "half", precision))
    searched = told_half["state"]["scale_searches"]
    assert told_half["state"]["skipped"] == 0 and searched <= 4
    losses = [loss for loss in told_half["losses"] if loss is not None]
    assert losses[0] == pytest.approx(told["losses"][0], rel=0.05)
    assert losses[-1] < losses[0] and {value.dtype for value in half.values()} == {torch.float32}
    assert half.keys() == exact.keys()


@pytest.mark.parametrize("name", ["averaged teacher", "two sources", CLASSIFICATION])
def test_an_objective_trains_on_the_device_with_all_that_stands_beside_the_model(name, images, tmp_path):
    job = on_gpu(job_of(name, images, tmp_path))
    tensors, facts = left_by(job)
    assert all(loss is not None for loss in facts["losses"])
    beside = [value for key, value in tensors.items() if key.startswith(name)]
    assert all(value.device == GPU and torch.isfinite(value).all() for value in beside)


@pytest.mark.parametrize("name", ["averaged teacher", "two sources", CLASSIFICATION])
@pytest.mark.parametrize("precision", [FLOAT32, FLOAT16], ids=lambda each: each.products)
def test_a_run_on_a_gpu_stopped_and_run_again_ends_the_same(precision, name, images, tmp_path):
    """To rounding: some of CUDA's kernels, of attention and of positions that are resampled, add in any order."""

    def job(folder):
        return dataclasses.replace(on_gpu(job_of(name, images, folder, optimizer="sgd")), precision=precision)

    tensors, facts = left_by(job(tmp_path / "whole"))
    for number in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            left_by(job(tmp_path / f"stopped{number}"), emit=at_step(number, interrupt))
        again, told = left_by(job(tmp_path / f"stopped{number}"))
        assert told["state"]["scale_searches"] == facts["state"]["scale_searches"]
        assert [loss is None for loss in told["losses"]] == [loss is None for loss in facts["losses"]]
        for key, value in tensors.items():
            torch.testing.assert_close(again[key], value, rtol=1e-3, atol=1e-4, msg=key)
