import gc
import io
import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import vitrail
from tests.conftest import picture
from tests.unit.models.test_package import built_model, contents
from vitrail.basics.errors import InputError, PackageError, UnreadableImageError
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings
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
    one, other = predictor.answers_of(pixels), exact.answers_of(pixels)
    for ours, theirs in ((one.features, other.features), (one.logits, other.logits)):
        assert torch.nn.functional.cosine_similarity(torch.tensor(ours), torch.tensor(theirs)).min() > 0.999
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


def folder_with(tmp_path, *names: str, broken: tuple[str, ...] = ()):
    for number, name in enumerate(names):
        picture(number).save(tmp_path / name)
    for name in broken:
        (tmp_path / name).write_bytes(b"\x89PNG cut off")
    return tmp_path


def test_one_bad_file_takes_no_answer_from_the_others_and_is_named(package, tmp_path):
    images = folder_with(tmp_path, "a.png", "c.png", broken=("b.png",))
    predictor = vitrail.load(package, device="cpu")
    with pytest.warns(
        UserWarning, match=r"1 of 3 images could not be read and have no prediction, the first: .*b\.png"
    ):
        answers = predictor.predict(images, workers=0)
    assert [Path(answer.path).name for answer in answers] == ["a.png", "c.png"]
    assert [Path(each.path).name for each in answers.unreadable] == ["b.png"]
    assert answers == predictor.predict([images / "a.png", images / "c.png"], workers=0)


def test_without_a_single_readable_image_there_is_an_error(package, tmp_path):
    images = folder_with(tmp_path, broken=("b.png", "c.png"))
    with pytest.raises(UnreadableImageError, match=r"b\.png"):
        vitrail.load(package, device="cpu").predict(images, workers=0)


def test_a_run_folder_means_its_package_and_an_unfinished_run_says_so(package, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("journal.jsonl", "settings.json"):
        (run / name).write_text("{}")
    with pytest.raises(
        PackageError, match=r"run is a run that is not finished: it holds no package yet\nhint: type the"
    ):
        vitrail.load(run)
    shutil.copytree(package, run / "package")
    assert vitrail.load(run, device="cpu").package.folder == run / "package"
    assert build_model(ModelSettings(name=str(run))).weights.initialised == ()


@pytest.mark.parametrize("poison", ["overflow", "features"])
def test_an_answer_that_is_no_number_is_an_error_and_never_a_probability(package, tmp_path, poison):
    images = folder_with(tmp_path, "a.png")
    predictor = vitrail.load(package, device="cpu")
    with torch.no_grad():  # finite weights, and yet no finite answer: what opening a package cannot see
        if poison == "overflow":
            predictor.model.norm.bias.fill_(10.0)  # features that do not cancel out, whatever the weights
            predictor.model.head.weight.fill_(3e38)
        else:
            predictor.model.norm.weight.fill_(float("inf"))
    told = r"the model's answer to .*a\.png is not a number \(NaN or infinity\): the package is not usable\nhint: "
    with pytest.raises(PackageError, match=told):
        predictor.predict(images, workers=0)
    with pytest.raises(PackageError, match="the model's answer to image 0 is not a number"):
        predictor.answers_of(torch.zeros((1, 48, 48, 3), dtype=torch.uint8).numpy())


@pytest.mark.parametrize("size", [{"batch_size": 0}, {"batch_size": -1}, {"workers": -1}])
def test_sizes_that_are_none_are_refused_instead_of_losing_all_answers(package, size):
    name = next(iter(size))
    with pytest.raises(InputError, match=rf"^{name} is .*, a whole number from \d on was expected\nhint: leave it out"):
        vitrail.load(package, device="cpu").predict([picture(0), picture(1)], **{"workers": 0, **size})


def test_an_opened_picture_that_cannot_be_loaded_takes_no_answer_from_the_others(package):
    content = io.BytesIO()
    picture(1).save(content, "png")
    cut, closed = Image.open(io.BytesIO(content.getvalue()[:-60])), Image.open(content)
    closed.close()
    predictor = vitrail.load(package, device="cpu")
    with pytest.warns(
        UserWarning, match="2 of 4 images could not be read .* image in memory: cannot be loaded: .*truncated"
    ):
        answers = predictor.predict([picture(0), cut, closed, picture(2)], workers=0)
    assert answers == predictor.predict([picture(0), picture(2)], workers=0)


def test_what_is_a_path_to_python_is_one_here_and_what_cannot_be_one_is_told(package, tmp_path):
    images = folder_with(tmp_path, "a.png")
    predictor = vitrail.load(package, device="cpu")
    assert [each.label for each in predictor.predict(os.scandir(images), workers=0)]
    for wrong, told in (("", "an empty path was given"), ("a" * 5000, "a{200}: File name too long")):
        with pytest.raises(InputError, match=f"^{told}"):
            predictor.predict(wrong, workers=0)
    for wrong, told in (("", "'' was given as a package"), ("a" * 5000, "File name too long")):
        with pytest.raises(InputError, match=told):
            vitrail.load(wrong)


def test_a_runtime_is_closed_with_its_predictor_and_not_by_the_garbage_collector_of_a_dying_python(package):
    predictor, closed = vitrail.load(package, device="cpu"), []
    predictor._opened.callback(closed.append, True)
    del predictor
    gc.collect()
    assert closed


def test_predictor_and_prediction_show_themselves_in_a_line(package, tmp_path):
    predictor = vitrail.load(package, device="cpu")
    shown = predictor.preprocessing
    classes = ", ".join(predictor.classes)
    assert repr(predictor) == (
        f"predictor of {len(predictor.classes)} classes, {classes}: {shown.height} × {shown.width} pixels, on cpu"
    )
    picture(0).save(path := tmp_path / "bell\a.png")
    (answer,) = predictor.predict(path, workers=0)
    assert repr(answer).startswith(f"{answer.label:<24} {answer.probability:>6.1%}   {tmp_path}/bell\\x07.png   [")
