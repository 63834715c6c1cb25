"""Batches in a model process: poison stays alone, nothing is computed for nobody, every question has one reply."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from vitrail.serving.model_batches import Decoded, ModelBatches
from vitrail.serving.open_questions import OpenQuestions
from vitrail.serving.reasons import reason_of, without_folders


class Answered(list):
    """What a predictor gives: predictions in the order of the images."""

    def __init__(self, pixels: np.ndarray) -> None:
        super().__init__(_Prediction(int(each.flat[0])) for each in pixels)


class _Prediction:
    def __init__(self, number: int) -> None:
        self._number = number

    def as_json(self) -> dict[str, Any]:
        return {"label": str(self._number)}


class Bench:
    """Batches over a model that is told what to do."""

    def __init__(self, answered: Any, **sizes: Any) -> None:
        self.said: list[dict[str, Any]] = []
        self.computed: list[list[int]] = []
        self.open = OpenQuestions()

        def compute(pixels: np.ndarray) -> Any:
            self.computed.append([int(each.flat[0]) for each in pixels])
            return answered(pixels)

        told = {"tell": lambda *said: self.said.extend(said), "after": lambda *_: None}
        self.batches = ModelBatches(compute, self.open, **{"most": 16, "wait": 0.0, **told, **sizes})

    def ask(self, *numbers: int, seconds: float = 60.0) -> None:
        for number in numbers:
            self.open.begin(number)
            pixels = np.full((2, 2, 3), number, np.uint8)
            self.batches.add(Decoded(number, time.monotonic() + seconds, pixels, 0.0))

    def run(self) -> dict[int, str]:
        self.batches.compute()
        return {said["id"]: said["kind"] for said in self.said}


def test_one_image_that_cannot_be_computed_takes_no_answer_from_its_batch() -> None:
    def answered(pixels: np.ndarray) -> Answered:
        if 5 in pixels:
            raise RuntimeError("not this one")
        return Answered(pixels)

    bench = Bench(answered)
    bench.ask(*range(16))
    kinds = bench.run()
    assert kinds == {number: "failed" if number == 5 else "answer" for number in range(16)}
    assert len(bench.said) == 16
    assert next(said["reason"] for said in bench.said if said["kind"] == "failed") == "RuntimeError: not this one"
    assert {said["id"]: said["prediction"]["label"] for said in bench.said if said["kind"] == "answer"} == {
        number: str(number) for number in range(16) if number != 5
    }


def test_what_is_too_late_or_waited_for_by_nobody_is_never_computed_and_yet_answered_once() -> None:
    bench = Bench(Answered)
    bench.ask(1, 2, 3)
    bench.ask(4, seconds=-1.0)
    bench.open.cancel(2)
    bench.open.cancel(77)
    assert bench.run() == {1: "answer", 2: "expired", 3: "answer", 4: "expired"}
    assert bench.computed == [[1, 3]] and len(bench.said) == 4


def test_no_batch_is_larger_than_the_most_and_one_by_one_works(most: int = 3) -> None:
    for most in (1, 3):
        bench = Bench(Answered, most=most)
        bench.ask(*range(10))
        assert set(bench.run().values()) == {"answer"}
        assert max(map(len, bench.computed)) == most and sum(map(len, bench.computed)) == 10


def test_a_model_with_answers_to_spare_or_too_few_has_failed_and_its_thread_lives() -> None:
    for wrong in (lambda pixels: Answered(pixels)[:-1], lambda pixels: [*Answered(pixels), *Answered(pixels)]):
        bench = Bench(wrong)
        bench.ask(1)
        assert bench.run() == {1: "failed"}


def test_a_batch_that_may_wait_is_filled_but_does_not_wait_when_it_is_full() -> None:
    bench = Bench(Answered, most=4, wait=5.0)
    began = time.monotonic()
    bench.ask(1)
    computing = threading.Thread(target=bench.batches.compute)
    computing.start()
    bench.ask(2, 3, 4)
    computing.join()
    assert bench.computed == [[1, 2, 3, 4]] and time.monotonic() - began < 4


def test_what_comes_while_one_thread_computes_is_computed_by_that_thread_and_no_other() -> None:
    begun, go_on, threads = threading.Event(), threading.Event(), set[int]()

    def answered(pixels: np.ndarray) -> Answered:
        threads.add(threading.get_ident())
        begun.set()
        assert go_on.wait(5)
        return Answered(pixels)

    bench = Bench(answered)
    bench.ask(1)
    computing = threading.Thread(target=bench.batches.compute)
    computing.start()
    assert begun.wait(5)
    bench.ask(2)
    bench.batches.compute()  # returns at once
    go_on.set()
    computing.join()
    assert bench.computed == [[1], [2]] and len(threads) == 1 and threads != {threading.get_ident()}


@pytest.mark.parametrize(("base", "per_image", "wanted"), [(0.0, 0.01, False), (0.02, 0.0, True)])
def test_more_is_decoded_first_only_where_a_larger_batch_is_cheaper(
    base: float, per_image: float, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def answered(pixels: np.ndarray) -> Answered:
        now[0] += base + per_image * len(pixels)
        return Answered(pixels)

    bench = Bench(answered)
    for numbers in ((1,), (2, 3), (4, 5, 6, 7)):
        bench.ask(*numbers)
        bench.run()
    bench.ask(8)
    assert bench.batches.wants_more() is wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no weights in /home/ada/runs/ants/package", "no weights in …/package"),
        ("/tmp/x/y.json: broken", "…/y.json: broken"),
        ("(/a/b/c, '/d/e/f')", "(…/c, '…/f')"),
        ("no weights and/or classes", "no weights and/or classes"),
        ("about 3/4 of them", "about 3/4 of them"),
    ],
)
def test_reasons_name_no_folder(text: str, told: str) -> None:
    assert without_folders(text) == told
    assert reason_of(ValueError(text)) == f"ValueError: {told}"
    assert len(reason_of(ValueError("x" * 1000))) == 300


def test_a_question_is_open_until_it_is_ended_and_only_then_may_be_cancelled() -> None:
    open_questions = OpenQuestions()
    open_questions.cancel(1)
    open_questions.begin(1)
    assert not open_questions.is_cancelled(1)
    open_questions.cancel(1)
    assert open_questions.is_cancelled(1) and len(open_questions) == 1
    open_questions.end(1)
    open_questions.cancel(1)
    assert not open_questions.is_cancelled(1) and len(open_questions) == 0
