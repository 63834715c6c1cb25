"""The faults that rollouts are tried against are what they say, on 1,000 new pictures."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests import faulty_packages as made
from vitrail.basics.errors import PackageError
from vitrail.prediction.predictor import Predictor, load

DRAWN = made.pictures(1000, seed=77)
PIXELS = np.stack([pixels for pixels, _ in DRAWN])
TRUTH = np.array([made.CLASSES.index(truth) for _, truth in DRAWN])
FAILED = -1


def predictor_of(package: Path) -> Predictor:
    return load(package, device="cpu", runtime="torch").prepare()


def answers(predictor: Predictor, pixels: np.ndarray = PIXELS) -> np.ndarray:
    """Numbers of the classes; a batch that fails is halved, as in serving."""
    try:
        return predictor.answers_of(pixels).logits.argmax(1)
    except PackageError:
        if len(pixels) == 1:
            return np.array([FAILED])
        half = len(pixels) // 2
        return np.concatenate([answers(predictor, part) for part in (pixels[:half], pixels[half:])])


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.good_package(tmp_path_factory.mktemp("packages") / "good")


@pytest.fixture(scope="module")
def usual(good: Path) -> np.ndarray:
    return answers(predictor_of(good))


def test_the_good_one_is_right_nine_times_of_ten_in_every_class(usual: np.ndarray) -> None:
    right = [np.mean(usual[each == TRUTH] == each) for each in range(3)]
    assert all(0.88 < share < 0.97 for share in right)


def test_another_good_version_nearly_always_gives_the_same_answer(usual: np.ndarray, tmp_path: Path) -> None:
    noisy = answers(predictor_of(made.good_package(tmp_path / "package", noise=0.02)))
    assert 0.97 < np.mean(noisy == usual) < 1.0
    assert abs(np.mean(noisy == TRUTH) - np.mean(usual == TRUTH)) < 0.01


def test_one_picture_of_a_hundred_has_no_answer_and_all_others_their_usual_one(
    usual: np.ndarray, tmp_path: Path
) -> None:
    found = answers(predictor_of(made.sometimes_failing_package(tmp_path / "package")))
    failed = found == FAILED
    assert 5 <= failed.sum() <= 22 and np.mean(found[~failed] == usual[~failed]) > 0.998


def test_the_slow_one_gives_the_same_answers_and_takes_longer(usual: np.ndarray, good: Path, tmp_path: Path) -> None:
    slow = predictor_of(made.slow_package(tmp_path / "package"))
    assert (answers(slow, PIXELS[:300]) == usual[:300]).all()
    assert seconds_of(slow) > 3 * seconds_of(predictor_of(good))


def seconds_of(predictor: Predictor) -> float:
    """The least that one picture takes."""

    def one() -> float:
        began = time.perf_counter()
        predictor.answers_of(PIXELS[:1])
        return time.perf_counter() - began

    return min(one() for _ in range(30))


def test_permuted_labels_are_wrong_wherever_the_good_one_is_right(usual: np.ndarray, tmp_path: Path) -> None:
    assert (answers(predictor_of(made.permuted_package(tmp_path / "package"))) == (usual + 1) % 3).all()


def test_one_class_is_never_answered_and_the_others_are_as_good_as_before(usual: np.ndarray, tmp_path: Path) -> None:
    found = answers(predictor_of(made.one_bad_class_package(tmp_path / "package")))
    assert not (found == 0).any() and (found[usual != 0] == usual[usual != 0]).all()


def test_weights_that_are_none_are_refused_though_their_seal_is_whole(good: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"model\.safetensors"):
        load(made.unloadable_package(good, tmp_path / "package"))


MEMORY_OF_TEN_IMAGES = """
from vitrail.data.readers.known import reader_of
from vitrail.serving.reporting import memory_of
import os
reader_of(b"x", "image")
before = memory_of(os.getpid())
for _ in range(10): reader_of(b"x", "image")
print((memory_of(os.getpid()) - before) / 1e6)
"""


def ended(model: str, environment: dict[str, str], code: str = "") -> "subprocess.CompletedProcess[str]":
    """A process that is called like that of a model."""
    typed = [sys.executable, "-c", code, "8", model]
    return subprocess.run(typed, env=environment, capture_output=True, text=True, timeout=30)


def test_the_leak_grows_with_every_image_of_that_model_alone(tmp_path: Path) -> None:
    environment = dict(made.leaking(tmp_path, "colours-8", megabytes=2.0))
    grown = {name: ended(name, environment, MEMORY_OF_TEN_IMAGES) for name in ("colours-8", "colours-7")}
    assert 19 < float(grown["colours-8"].stdout) < 23, grown["colours-8"].stderr
    assert float(grown["colours-7"].stdout) < 1


def test_the_process_of_that_model_alone_dies_when_it_opens_weights(tmp_path: Path) -> None:
    environment, weights = dict(made.dying(tmp_path, "colours-8")), tmp_path / "model.safetensors"
    weights.touch()
    codes = [ended(name, environment, f"open({str(weights)!r})").returncode for name in ("colours-8", "colours-7")]
    assert codes == [-11, 0]
