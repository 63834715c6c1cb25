import pytest
import torch

from vitrail.basics.errors import SystemFault
from vitrail.training.out_of_memory import Portions, is_out_of_memory


def noted_portions(first: int, lines: list[dict]) -> Portions:
    return Portions(first, list(lines), lambda kind, **facts: lines.append({"kind": kind, **facts}))


def test_halves_hold_from_their_step_on_also_in_later_stages():
    portions = noted_portions(32, [])
    assert portions.halve(1, 5, 32, MemoryError()) == 16
    assert [portions.at(*place) for place in ((0, 99), (1, 4), (1, 5), (1, 6), (2, 0))] == [32, 32, 16, 16, 16]


@pytest.mark.parametrize(("most", "half"), [(32, 16), (7, 4), (3, 2), (2, 1)])
def test_an_odd_number_is_rounded_up(most, half):
    assert noted_portions(most, []).halve(0, 0, most, MemoryError()) == half


def test_a_decision_is_noted_before_anything_is_tried_again():
    lines: list[dict] = []
    noted_portions(8, lines).halve(2, 3, 8, MemoryError())
    assert lines == [{"kind": "images_at_once", "stage": 2, "step": 3, "images": 4}]


def test_a_run_that_is_repeated_decides_the_same_at_the_same_steps():
    lines: list[dict] = []
    first = noted_portions(32, lines)
    for place, most in (((0, 3), 32), ((0, 3), 16), ((1, 0), 8)):
        first.halve(*place, most, MemoryError())
    again = noted_portions(32, lines)
    places = [(stage, step) for stage in range(3) for step in range(6)]
    told = [again.at(*place) for place in places]
    assert told == [first.at(*place) for place in places]
    assert (told[2], told[3], told[6]) == (32, 8, 4)


def test_one_image_that_does_not_fit_is_a_fault_that_names_the_first_line_only():
    with pytest.raises(SystemFault) as caught:
        noted_portions(1, []).halve(0, 0, 1, RuntimeError("out of memory: 3 GiB\nlong list of allocations"))
    assert caught.value.message == "memory does not suffice for a single image: out of memory: 3 GiB"
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(("error", "answer"), [
    (torch.OutOfMemoryError("CUDA"), True),
    (MemoryError(), True),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
    (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    (ValueError("out of memory"), False),
])  # fmt: skip
def test_lack_of_memory_is_recognised_on_every_device(error, answer):
    assert is_out_of_memory(error) == answer


def test_what_torch_raises_on_a_processor_without_memory_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
