import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import picture
from tests.unit.models.test_package import built_model, contents
from vitrail.basics.events import Recovered
from vitrail.models.package import read_package, write_package
from vitrail.prediction import kept_answers as keeping
from vitrail.prediction.answers import gathered_answers
from vitrail.prediction.kept_answers import kept_answers
from vitrail.prediction.predictor import Predictor


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages") / "ants"
    write_package(folder, built_model(), contents=contents())
    return folder


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "BATCH", 2)
    monkeypatch.setattr(keeping, "PART", 4)
    for number in range(10):
        picture(number).save(tmp_path / f"{number}.png")
    (tmp_path / "5.png").write_bytes(b"no image")
    return [(str(tmp_path / f"{number}.png"), 0) for number in range(10)]


def everything(answers):
    whole = gathered_answers(answers)
    values = [getattr(whole, each.name) for each in dataclasses.fields(whole)]
    return [value.tobytes() if isinstance(value, np.ndarray) else value for value in values]


class Counted(Predictor):
    """A predictor that notes how many images it is asked about."""

    def answers(self, images, **others):
        self.asked.append(len(images))
        return super().answers(images, **others)


def counted(package: Path) -> Counted:
    predictor = Counted(read_package(package), device="cpu")
    predictor.asked = []
    return predictor


def test_answers_that_were_kept_are_not_computed_again_and_are_the_same_to_the_bit(package, places, tmp_path):
    folder, predictor = tmp_path / "kept", counted(package)
    whole = everything(kept_answers(predictor, places, tmp_path / "whole", workers=0))
    stopped = kept_answers(predictor, places, folder, workers=0)
    assert [len(next(stopped)), len(next(stopped))] == [4, 4]
    stopped.close()
    predictor.asked.clear()
    assert everything(kept_answers(predictor, places, folder, workers=0)) == whole
    assert predictor.asked == [2]
    assert everything(kept_answers(predictor, places, folder, workers=0)) == whole
    assert predictor.asked == [2]


def test_a_damaged_part_is_told_and_computed_again(package, places, tmp_path):
    folder, predictor, told = tmp_path / "kept", counted(package), []
    whole = everything(kept_answers(predictor, places, folder, workers=0))
    content = bytearray((folder / "part-000001").read_bytes())
    content[-30] ^= 1
    (folder / "part-000001").write_bytes(content)
    predictor.asked.clear()
    assert everything(kept_answers(predictor, places, folder, workers=0, emit=told.append)) == whole
    assert predictor.asked == [6]
    assert [type(each) for each in told].count(Recovered) == 1


def test_other_images_or_another_package_are_computed(package, places, tmp_path):
    folder, predictor = tmp_path / "kept", counted(package)
    list(kept_answers(predictor, places, folder, workers=0))
    predictor.asked.clear()
    list(kept_answers(predictor, places[::-1], folder, workers=0))
    assert predictor.asked == [10]
    write_package(tmp_path / "other", built_model(), contents=contents())
    other = counted(tmp_path / "other")
    list(kept_answers(other, places[::-1], folder, workers=0))
    assert other.asked == [10]
