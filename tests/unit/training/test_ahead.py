import threading

import pytest

from vitrail.training.ahead import MOST_AHEAD, made_ahead


def test_results_come_in_the_order_of_the_steps():
    assert list(made_ahead(lambda step: step * step, range(3, 9))) == [9, 16, 25, 36, 49, 64]
    assert list(made_ahead(str, [])) == []


def test_the_next_results_are_made_while_one_is_used():
    begun = [threading.Event() for _ in range(6)]
    results = made_ahead(lambda step: begun[step].set(), range(6))
    next(results)
    assert all(event.wait(10) for event in begun[: 1 + MOST_AHEAD])
    assert not any(event.is_set() for event in begun[1 + MOST_AHEAD :])


def test_an_error_is_raised_where_its_result_is_taken():
    results = made_ahead(lambda step: 1 // (step - 2), range(4))
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_thread_is_left_when_somebody_stops_taking():
    results = made_ahead(lambda step: step, range(100))
    next(results)
    assert any(thread.name.startswith("batches") for thread in threading.enumerate())
    results.close()
    assert not any(thread.name.startswith("batches") for thread in threading.enumerate())
