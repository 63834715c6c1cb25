"""Where a call in Python shows its progress, and where it is silent."""

import builtins
import io
import sys
from types import ModuleType

import pytest

import vitrail
from vitrail.basics.events import Noted, WorkAdvanced, WorkEnded, WorkStarted, nobody, watched
from vitrail.pages.progress import sink_or_bars
from vitrail.training.records import EpochDone

EPOCH = EpochDone("all", 3, 1, 2, 40, 0.5, {"validation_loss": 0.25, "validation_accuracy": 0.9, "n": 20}, {}, "stem")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def work_is_done(emit):
    emit(Noted("model    small"))
    for _ in watched(range(5), emit, work="reading", total=5):
        pass
    emit(EPOCH)


def test_somebody_at_a_terminal_sees_bars_notes_and_epochs(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with sink_or_bars(None) as emit:
        work_is_done(emit)
    shown = terminal.getvalue()
    assert "model    small" in shown and "reading" in shown
    assert "epoch    all 1/2     loss 0.500   validation loss 0.250, 90.0 % right, n = 20   from stem" in shown


def test_where_nobody_looks_nothing_is_printed(capfd):
    with sink_or_bars(None) as emit:
        assert emit is nobody
        work_is_done(emit)
    assert capfd.readouterr() == ("", "")


def test_whoever_hands_in_a_sink_gets_the_events_and_no_bars(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    events = []
    with sink_or_bars(events.append) as emit:
        work_is_done(emit)
    assert events[1:3] == [WorkStarted("reading", 5), WorkAdvanced("reading")] and WorkEnded("reading") in events
    assert terminal.getvalue() == ""


@pytest.mark.filterwarnings("error")
def test_a_notebook_without_widgets_shows_the_lines_and_warns_of_nothing(monkeypatch):
    shown = []
    ipython = ModuleType("IPython.display")
    ipython.display = lambda line: shown.append(line.text)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    shell = type("ZMQInteractiveShell", (), {})
    monkeypatch.setattr(builtins, "get_ipython", shell, raising=False)
    with sink_or_bars(None) as emit:
        work_is_done(emit)
    assert any("model    small" in each for each in shown)


@pytest.mark.parametrize("emit", [{}, {"emit": vitrail.nobody}])
def test_a_call_in_a_program_prints_nothing_and_one_at_a_terminal_what_is_done(emit, write_images, monkeypatch, capfd):
    folder = write_images({"ants": 3, "bees": 3})
    vitrail.check(folder, workers=0, **emit)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    vitrail.check(folder, workers=0, **emit)
    assert bool(terminal.getvalue()) == (not emit)
