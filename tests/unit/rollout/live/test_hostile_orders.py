"""Words in orders that a database or a terminal would choke on."""

import pytest


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_an_order_in_odd_letters_is_taken_and_its_record_can_be_read_by_everybody(service):
    running = service()
    running.begin()
    running.store.order(1, "pause", by="A\0da \ud800", why="\x1b[2Jthe ward\nround")
    line = list(running.store.record(1))[-1]
    assert (line.by, line.why) == ("A\\x00da \\ud800", "\\x1b[2Jthe ward\\nround")
    assert running.kept.state.pause.sentence == "A\\x00da \\ud800 paused it: \\x1b[2Jthe ward\\nround"
