import gc
import io
import itertools
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from tests.conftest import picture
from tests.unit.models.test_package import built_model, contents
from vitrail.basics.errors import InputError, PackageError, UnreadableImageError
from vitrail.data.given_pictures import FEW
from vitrail.data.identity import image_id
from vitrail.models.catalogue import build_model
from vitrail.models.model_settings import ModelSettings
from vitrail.models.package import write_package
from vitrail.prediction import prepared
from vitrail.prediction.answers import Prediction, Predictions, Unreadable
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
    (whole,) = predictor.answers([*images[:2], b"no image", *images[2:]], workers=0)
    assert (whole.classes, whole.names, list(whole.faults)) == (("ant", "bee", "wasp"), ("",) * 6, [2])
    read = [row for row in range(6) if row != 2]
    assert whole.probabilities[read] == pytest.approx(
        np.array([list(e.probabilities.values()) for e in exact]), abs=0.1
    )
    assert (whole.logits.dtype, whole.features.dtype, whole.features.shape) == (np.float32, np.float32, (6, 192))


@pytest.mark.parametrize("runtime", NAMES)
def test_a_predictor_is_prepared_once_however_many_threads_ask_for_it(package, runtime, monkeypatch):
    chosen, started = [], threading.Barrier(4)

    def choose_runtime(*given, **options):
        chosen.append(choose(*given, **options))
        return chosen[-1]

    choose = prepared.choose_runtime
    monkeypatch.setattr(prepared, "choose_runtime", choose_runtime)
    predictor = vitrail.load(package, device="cpu", runtime=runtime)
    pixels = np.stack([predictor.pixels(picture(seed)) for seed in range(4)])

    def ask(number):
        started.wait()
        if number % 2:
            predictor.prepare(images=5, callers=2)
        return predictor.answers_of(pixels).logits.tobytes()

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(ask, range(4)))
    assert (len(chosen), predictor.choice) == (1, chosen[0])
    assert set(said) == {predictor.prepare().answers_of(pixels).logits.tobytes()}
    assert len(chosen) == 1


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


def test_an_unreadable_image_keeps_its_row_and_moves_no_other(package, tmp_path):
    images = folder_with(tmp_path, "a.png", "c.png", "d.png", broken=("b.png",))
    (images / "empty.png").touch()
    predictor = vitrail.load(package, device="cpu")
    (whole,) = predictor.answers(images, workers=0)
    (without,) = predictor.answers([images / name for name in ("a.png", "c.png", "d.png")], workers=0)
    assert [Path(name).name for name in whole.names] == ["a.png", "b.png", "c.png", "d.png", "empty.png"]
    assert {row: Path(reason).name for row, reason in whole.faults.items()} == {
        1: "b.png: is not an image, and of no kind that is known here", 4: "empty.png: is empty (0 bytes)",
    }  # fmt: skip
    assert [each.id for each in whole] == [image_id((images / name).read_bytes()) if name != "empty.png" else ""
                                           for name in ("a.png", "b.png", "c.png", "d.png", "empty.png")]  # fmt: skip
    for ours, theirs in ((whole.logits, without.logits), (whole.features, without.features)):
        assert np.isnan(ours[[1, 4]]).all()
        assert np.array_equal(ours[[0, 2, 3]], theirs)
    assert [each for each in whole if isinstance(each, Prediction)] == list(without) == predictor.predict(without.names)
    assert whole[-1] == Unreadable(whole.names[4], whole.faults[4])


def test_memory_is_that_of_a_few_batches_because_an_iterator_is_read_as_answers_are_taken(package):
    given = itertools.count()
    endless = (picture(next(given) % 5) for _ in itertools.count())
    answers = vitrail.load(package, device="cpu").answers(endless, batch_size=4, workers=0)
    assert [len(next(answers)) for _ in range(9)] == [4] * 9
    assert next(given) <= 36 + 4
    in_workers = vitrail.load(package, device="cpu").answers(endless, batch_size=4, workers=1)
    before = next(given)
    next(in_workers)
    assert next(given) - before <= FEW + 4 + 4


def test_contents_of_files_are_images_with_the_answer_and_the_id_of_the_file(package, tmp_path):
    images = folder_with(tmp_path, "a.png", "c.png")
    predictor = vitrail.load(package, device="cpu")
    contents = [(images / name).read_bytes() for name in ("a.png", "c.png")]
    (files,), (bytes_,) = (
        predictor.answers(each, workers=0) for each in (images, [memoryview(contents[0]), contents[1]])
    )
    assert bytes_.ids == files.ids
    assert np.array_equal(bytes_.logits, files.logits)
    assert predictor.predict(contents[0])[0].label == files[0].label
    (broken,) = predictor.answers([b"", contents[0][:90], contents[1]], workers=0)
    assert list(broken.faults) == [0, 1]
    assert broken.faults[0] == "image in memory: is empty (0 bytes)"
    assert broken.faults[1].startswith("image in memory: is truncated")
    assert broken.ids[2] == files.ids[1]


def test_a_frame_of_a_file_is_named_by_a_pair(package, tmp_path):
    pages = [picture(seed) for seed in range(2)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    predictor = vitrail.load(package, device="cpu")
    second = str(tmp_path / "pages.tif"), 1
    (answers,) = predictor.answers([second, pages[1]])
    assert (answers.names[0], answers.ids[0][-2:], answers.ids[1]) == (second[0], ":1", "")
    assert np.array_equal(answers.logits[0], answers.logits[1])
    assert np.array_equal(predictor.pixels(second), predictor.pixels(pages[1]))


def test_pixels_that_are_not_what_the_model_sees_are_refused_with_what_was_expected(package):
    predictor = vitrail.load(package, device="cpu")
    good = np.zeros((2, 48, 48, 3), dtype=np.uint8)
    for wrong, told in (
        (good[0], r"uint8 \(48, 48, 3\)"), (good.astype(np.float32), r"float32 \(2, 48, 48, 3\)"),
        (good[:, :40], r"uint8 \(2, 40, 48, 3\)"), (good.transpose(0, 3, 1, 2), r"uint8 \(2, 3, 48, 48\)"),
    ):  # fmt: skip
        with pytest.raises(
            InputError, match=rf"^pixels are {told}, an array uint8 \(B, 48, 48, 3\) was expected\nhint"
        ):
            predictor.answers_of(wrong)
    with pytest.raises(InputError, match=r"^1 ids were given for 2 images\nhint: give one per image"):
        predictor.answers_of(good, ids=["a"])
    nothing = predictor.answers_of(good[:0])
    assert (len(nothing), nothing.logits.shape, nothing.features.shape) == (0, (0, 3), (0, 192))
    named = predictor.answers_of(good, ids=["a", "b"], names=["x", "y"])
    assert [(each.id, each.path) for each in named] == [("a", "x"), ("b", "y")]


def test_one_picture_becomes_pixels_or_says_why_not(package, tmp_path):
    images = folder_with(tmp_path, "a.png", "c.png", broken=("b.png",))
    predictor = vitrail.load(package, device="cpu")
    one = predictor.pixels(images / "a.png")
    assert np.array_equal(one, predictor.pixels((images / "a.png").read_bytes()))
    assert np.array_equal(predictor.answers_of(one[None]).logits, next(predictor.answers(images / "a.png")).logits)
    with pytest.raises(UnreadableImageError, match=r"b\.png: is not an image, .* here\nhint: remove it"):
        predictor.pixels(images / "b.png")
    with pytest.raises(InputError, match=r"^3 images were given, one was expected\nhint: name one: a file, or"):
        predictor.pixels(images)


def test_preparing_needs_no_image_and_closing_leaves_a_predictor_that_can_be_used_again(package):
    with vitrail.load(package, device="cpu", runtime="torch bfloat16") as predictor:
        assert predictor.choice is None
        assert predictor.prepare().choice.trials[-1].agreement.suffices(exact=False)
        first = predictor.answers_of(np.zeros((2, 48, 48, 3), dtype=np.uint8))
    assert predictor.choice is None
    again = predictor.answers_of(np.zeros((2, 48, 48, 3), dtype=np.uint8))
    assert np.array_equal(first.logits, again.logits)


def test_a_sample_without_an_image_prepares_nothing_and_says_so(package, tmp_path):
    predictor = vitrail.load(package, device="cpu")
    with pytest.raises(InputError, match=r"^the sample holds no images\nhint: leave it out"):
        predictor.prepare([])
    with pytest.raises(UnreadableImageError, match=r"b\.png"):
        predictor.prepare(folder_with(tmp_path, broken=("b.png",)))
    with pytest.raises(InputError, match=r"^callers is 0, a whole number from 1 on was expected"):
        predictor.prepare(callers=0)
    assert predictor.choice is None


def test_what_is_no_image_is_refused_before_any_answer_also_among_many(package, tmp_path):
    predictor = vitrail.load(package, device="cpu")
    for wrong, told in ((3, "an image of type int is not understood"), (np.zeros((4, 4)), "an array of float64"),
                        (tmp_path / "gone.png", ".*there is no such file")):  # fmt: skip
        with pytest.raises(InputError, match=f"^{told}"):
            predictor.answers([picture(0), wrong])


def test_a_list_of_predictions_prints_a_line_for_each_of_the_first(package):
    predictor = vitrail.load(package, device="cpu")
    answers = predictor.predict([picture(0)] * 22, workers=0)
    assert repr(answers).splitlines() == [*map(repr, answers[:20]), "… and 2 more"]
    assert repr(Predictions([], [Unreadable("a.png", "broken")])) == "1 could not be read: see unreadable"
    assert repr(Predictions()) == "no predictions"
