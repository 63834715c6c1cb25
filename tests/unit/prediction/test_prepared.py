import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from vitrail.basics.errors import PackageError
from vitrail.prediction.prepared import PreparedModel
from vitrail.prediction.runtimes.choosing import RuntimeChoice
from vitrail.prediction.runtimes.torch_runtime import EXACT

PIXELS = np.zeros((2, 4, 4, 3), dtype=np.uint8)
RESULTS = torch.ones(2, 5), torch.ones(2, 3)


def prepared(forward, callers=1):
    return PreparedModel(RuntimeChoice(EXACT, "as asked for"), forward, threading.Semaphore(callers))


@pytest.mark.parametrize("callers", [1, 3])
def test_so_many_calls_as_were_prepared_for_are_computed_at_once_and_further_ones_wait(callers):
    lock, inside, most = threading.Lock(), [], []

    def forward(_):
        with lock:
            inside.append(1)
            most.append(len(inside))
        time.sleep(0.02)
        with lock:
            inside.pop()
        return RESULTS

    model = prepared(forward, callers)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: model.answered(PIXELS, ["a", "b"]), range(9)))
    assert max(most) == callers
    assert all(np.array_equal(features, np.ones((2, 5))) for features, _ in found)


def test_a_call_that_fails_keeps_nobody_waiting():
    answers = iter([MemoryError("no room"), (RESULTS[0], torch.tensor([[0.0] * 3, [0.0, 0.0, float("nan")]])), RESULTS])

    def forward(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    model = prepared(forward)
    with pytest.raises(MemoryError):
        model.answered(PIXELS, ["a", "b"])
    with pytest.raises(PackageError, match=r"^the model's answer to b is not a number"):
        model.answered(PIXELS, ["a", "b"])
    assert model.answered(PIXELS, ["a", "b"])[1].shape == (2, 3)
