"""What a model process says of the images that come: of new ones, each once."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import picture
from tests.serving import small_package
from vitrail.prediction.predictor import load
from vitrail.serving import shift_watch
from vitrail.serving.shift_watch import ShiftWatch, content_hash


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(small_package(tmp_path_factory.mktemp("known") / "ants", reference=True), device="cpu", runtime="torch")


def taken(watch: ShiftWatch, predictor: Any, seeds: list[int]) -> dict[str, Any]:
    (answers,) = predictor.answers([picture(seed) for seed in seeds], batch_size=len(seeds), workers=0)
    watch.take(answers, {row: content_hash(b"%d" % seed) for row, seed in enumerate(seeds)})
    return watch.state()


def test_an_image_that_comes_again_counts_once_and_is_no_shift(predictor: Any) -> None:
    watch = ShiftWatch(predictor.reference, tell=lambda _: None)
    assert taken(watch, predictor, [501, 502, 501])["seen"] == 2
    again = taken(watch, predictor, [501] * 300)
    assert (again["seen"], again["changed"]) == (2, False)
    assert taken(watch, predictor, [503])["seen"] == 3


def test_what_is_remembered_of_images_is_bounded(predictor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift_watch, "MOST_KNOWN", 2)
    watch = ShiftWatch(predictor.reference, tell=lambda _: None)
    assert taken(watch, predictor, [501, 502, 503])["seen"] == 3
    assert taken(watch, predictor, [503, 501])["seen"] == 4


def test_a_package_that_knows_no_images_says_nothing(tmp_path: Path, predictor: Any) -> None:
    watch = ShiftWatch(None, tell=lambda _: None)
    assert taken(watch, predictor, [501]) == {"seen": 0}
