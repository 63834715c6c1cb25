"""The last errors of an arm: few, short, on one line."""

from tests.unit.monitoring.false_clock import FalseClock
from vitrail.monitoring.recent_errors import LONGEST_MESSAGE, MOST_ARMS, MOST_ERRORS, RecentErrors


def test_the_last_fifty_of_an_arm_are_kept_newest_first() -> None:
    clock = FalseClock()
    errors = RecentErrors(clock)
    for each in range(70):
        errors.add("a", "timeout", f"no answer within {each} s")
        clock.go_on(1)
    found = errors.of("a")
    assert len(found) == MOST_ERRORS
    assert found[0].as_json() == {"at": 1_700_000_069.0, "kind": "timeout", "message": "no answer within 69 s"}
    assert errors.of("b") == []


def test_a_message_stays_on_one_line_is_bounded_and_does_not_command_terminals() -> None:
    errors = RecentErrors(FalseClock())
    errors.add("a", "RuntimeError", "first\nsecond \x1b[31mred " + "x" * 10_000)
    (found,) = errors.of("a")
    assert found.message.startswith("first second \\x1b[31mred xxx") and found.message.endswith("x…")
    assert len(found.message) == LONGEST_MESSAGE


def test_arms_without_end_take_bounded_memory() -> None:
    clock = FalseClock()
    errors = RecentErrors(clock)
    for each in range(MOST_ARMS + 10):
        errors.add(f"arm {each}", "crash", "gone")
        clock.go_on(1)
    assert errors.of("arm 9") == [] and len(errors.of("arm 10")) == 1
