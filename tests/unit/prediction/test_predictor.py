import pytest
import torch

import vitrail
from tests.conftest import picture
from tests.unit.models.test_package import built_model, contents
from vitrail.basics.errors import InputError
from vitrail.models.package import write_package
from vitrail.prediction.runtimes.known import is_installed, named_runtime

ASKED = ("auto", "torch bfloat16", "openvino float32", "openvino bfloat16")
NAMES = [name for name in ASKED if name == "auto" or is_installed(named_runtime(name))]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages") / "ants"
    write_package(folder, built_model(), contents=contents())
    return folder


@pytest.mark.parametrize("runtime", NAMES)
def test_predictions_are_the_same_in_every_runtime_and_it_says_which_was_used(package, runtime):
    images = [picture(seed) for seed in range(5)]
    exact = vitrail.load(package, device="cpu").predict(images, batch_size=2, workers=0)
    predictor = vitrail.load(package, device="cpu", runtime=runtime)
    answers = predictor.predict(images, batch_size=2, workers=0)
    tolerance = 0.1 if "bfloat16" in runtime else 1e-4
    for one, other in zip(answers, exact, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=tolerance)
    assert predictor.choice.runtime.name == runtime or runtime == "auto"
    assert predictor.choice.runtime.exact or "bfloat16" in runtime


def test_features_and_logits_come_in_one_pass_in_the_runtime_that_was_asked_for(package):
    runtime = "openvino float32" if "openvino float32" in NAMES else "torch bfloat16"
    predictor, exact = vitrail.load(package, device="cpu", runtime=runtime), vitrail.load(package, device="cpu")
    pixels = torch.randint(0, 256, (3, 48, 48, 3), dtype=torch.uint8).numpy()
    for one, other in zip(predictor.logits(pixels), exact.logits(pixels), strict=True):
        assert torch.nn.functional.cosine_similarity(one, other).min() > 0.999
    assert predictor.choice.runtime.name == runtime


@pytest.mark.parametrize("runtime", ["auto", "torch"])
def test_unless_a_full_name_is_given_nothing_but_float32_is_even_tried(package, runtime):
    predictor = vitrail.load(package, device="cpu", runtime=runtime)
    predictor.predict([picture(seed) for seed in range(3)], workers=0)
    assert predictor.choice.runtime.exact
    assert all(trial.runtime.exact for trial in predictor.choice.trials)


def test_a_runtime_that_does_not_exist_is_refused_before_any_image_is_read(package):
    with pytest.raises(InputError, match=r"^there is no runtime 'tensorrt'\nhint: one of auto, torch, openvino, onnx"):
        vitrail.load(package, runtime="tensorrt")
