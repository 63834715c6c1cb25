"""Time goes on whatever somebody does to the clock."""

import time

from vitrail.basics.clock import Clock, SteadyTime, SystemClock


def test_the_machines_clock_tells_both_times() -> None:
    clock = SystemClock()
    assert isinstance(clock, Clock)
    before = clock.monotonic()
    time.sleep(0.01)
    assert 0.009 < clock.monotonic() - before < 5
    assert abs(clock.wall() - time.time()) < 5
    assert abs(SteadyTime(clock).now() - time.time()) < 5
