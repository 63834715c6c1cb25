"""What runs on a GPU leaves no tensor on the processor: run forward on a GPU that is not there."""

import dataclasses

import numpy as np
import pytest
import torch

import vitrail
from tests.contracts.test_objectives import OBJECTIVES, Case
from tests.fake_gpu import FAKE, fake_gpu, on_fake_gpu
from tests.unit.models.test_package import built_model, contents
from tests.unit.training.small_job import CPU, PIXELS, pictures, tiny_vit
from vitrail.data.preprocessing import Preprocessing
from vitrail.models.chain import Chain
from vitrail.models.inputs import Pixels, States
from vitrail.models.package import write_package
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS, Readout
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.training.loss_scale import LossScale

SHOWN = Preprocessing(height=PIXELS, width=PIXELS, crop_fraction=1.0)
ELSEWHERE = "same device|two devices|Unhandled FakeTensor Device Propagation"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), train=6, val=4)


def on_the_gpu(case):
    """The case's model and objective on the GPU; its batches stay where the loader leaves them."""
    on_fake_gpu(case.chain.model)
    on_fake_gpu(case.objective.modules)
    normalise = Normalise(SHOWN, FAKE)
    case.objective = moved(case.objective, normalise)
    return case


def moved(objective, normalise):
    if dataclasses.is_dataclass(objective):
        training = objective.training
        if hasattr(training, "normalise"):
            training = dataclasses.replace(training, normalise=normalise)
        return dataclasses.replace(objective, normalise=normalise, training=training)
    if hasattr(objective, "supervised"):
        objective.supervised, objective.device = moved(objective.supervised, normalise), normalise.device
        return objective
    objective.normalise = normalise
    return objective


def first_batches(case):
    """Of a step; formula images are made on the device, and here, because a thread would not know of the fake GPU."""
    training = getattr(case.objective, "training", None)
    return {"labelled": training.batch(case.stage, 0)} if hasattr(training, "batch") else case.batches()[0]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_of_an_objective_is_computed_on_the_gpu_from_batches_of_the_loader(name, images):
    case = Case(name, images)
    from_loader = first_batches(case) if "formula" not in name else None
    with fake_gpu():
        on_the_gpu(case)
        loss, gathered = case.loss(from_loader or first_batches(case))
        assert loss.device == FAKE and loss.shape == ()
        assert {value.device for value in gathered.values()} <= {FAKE}
        case.after({name: value.detach() for name, value in gathered.items()}, 0, applied=1.0)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("left", ["the mean of the pixels", "the weights of a layer"])
def test_a_tensor_that_was_left_on_the_processor_is_found(left, name, images):
    case = Case(name, images)
    from_loader = first_batches(case) if "formula" not in name else None
    if left == "the mean of the pixels" and name == "averaged teacher":
        pytest.skip("its views are made and normalised on the processor")
    with fake_gpu():
        on_the_gpu(case)
        normalise = getattr(case.objective, "normalise", None) or case.objective.supervised.normalise
        if left == "the mean of the pixels":
            normalise.mean = torch.zeros(3, 1, 1)
        else:
            case.chain.model.norm.weight = torch.nn.Parameter(torch.ones(24))
        with pytest.raises(RuntimeError, match=ELSEWHERE):
            case.loss(from_loader or first_batches(case))


PIXEL_VALUES = np.zeros((3, PIXELS, PIXELS, 3), dtype=np.uint8)


def test_a_feature_pass_runs_on_the_gpu_and_its_results_come_back():
    model = tiny_vit()
    chain = Chain(model)
    from_block = Readout("from a block on", lambda _: lambda batch: (chain.run(batch, 2, chain.logits),))
    with fake_gpu():
        on_fake_gpu(model)
        with EXACT.applied(model, SHOWN, FAKE, readout=FEATURES_AND_LOGITS) as forward:
            features, logits = forward(Pixels(PIXEL_VALUES))
        with EXACT.applied(model, SHOWN, FAKE, readout=from_block) as forward:
            (from_states,) = forward(States(torch.zeros(3, 5, 24), 2))
    assert [features.shape, logits.shape, from_states.shape] == [(3, 24), (3, 2), (3, 2)]
    assert {each.device for each in (features, logits, from_states)} == {CPU}


def test_a_feature_pass_with_a_layer_on_the_processor_is_found():
    model = tiny_vit()
    with fake_gpu():
        on_fake_gpu(model)
        model.pos_embed = torch.nn.Parameter(torch.zeros(1, 5, 24))
        with EXACT.applied(model, SHOWN, FAKE) as forward, pytest.raises(RuntimeError, match=ELSEWHERE):
            forward(Pixels(PIXEL_VALUES))


def test_a_predictor_computes_on_the_gpu(tmp_path):
    write_package(tmp_path / "package", built_model(), contents=contents())
    predictor = vitrail.load(tmp_path / "package", device="cpu")
    pixels = np.zeros((2, 48, 48, 3), dtype=np.uint8)
    with fake_gpu():
        predictor.device, predictor.model = FAKE, on_fake_gpu(predictor.model)
        forward = predictor._model_for(pixels, 2).forward  # what follows looks at numbers, and there are none
        features, logits = forward(Pixels(pixels))
        assert logits.shape == (2, 3) and {features.device, logits.device} == {CPU}
        predictor.model.patch_embed.proj.bias = torch.nn.Parameter(
            torch.zeros(predictor.model.patch_embed.proj.out_channels)
        )
        with pytest.raises(RuntimeError, match=ELSEWHERE):
            forward(Pixels(pixels))


def test_a_loss_scale_lives_on_the_device_of_the_model():
    with fake_gpu():
        scale = LossScale(FAKE)
        gradients = [torch.zeros(2, device=FAKE), torch.zeros(3, 2, device=FAKE)]
        scale.unscale(gradients)
        overflow = torch.zeros((), device=FAKE)
        assert scale.searching(overflow).device == FAKE
        scale.follow(overflow)
        assert {each.device for each in scale.buffers()} == {FAKE}
