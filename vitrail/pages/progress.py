"""Progress: bars with the time left on a terminal's stderr or in a notebook, nothing at all where nobody looks."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vitrail.basics.events import (
    Emit,
    Event,
    Noted,
    WorkAdvanced,
    WorkDescribed,
    WorkEnded,
    WorkStarted,
    nobody,
)
from vitrail.basics.printable import printable


@contextlib.contextmanager
def sink_or_bars(emit: Emit | None) -> Iterator[Emit]:
    """The sink that a caller handed in; where none was, bars as long as the block runs, if somebody looks."""
    if emit is not None:
        yield emit
    elif _somebody_looks():
        with ProgressBars() as bars:
            yield bars
    else:
        yield nobody


def _somebody_looks() -> bool:
    return _is_terminal() or _PatientConsole().is_jupyter


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


class _PatientConsole(Console):
    """Falls silent when whoever reads stderr has left; rich itself would end the process."""

    def on_broken_pipe(self) -> None:
        """Print nothing any more."""
        self.quiet = True


class ProgressBars:
    """A sink of events that draws bars while it is open; what events say is printed as lines.

    Args:
        quiet: draw nothing and print warnings only.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = _PatientConsole(stderr=True, highlight=False, soft_wrap=True)
        self._quiet = quiet
        self._progress = Progress(
            TextColumn("{task.description:<20}", markup=False),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[words]}", markup=False),
            console=self._console,
            transient=True,
            disable=quiet or not self._can_draw(),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "ProgressBars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Draw what the event says; where stderr cannot be written, nobody looks and nothing happens."""
        with contextlib.suppress(OSError, ValueError):
            self._draw(event)

    def _draw(self, event: Event) -> None:
        match event:
            case WorkStarted(work, total, unit):
                self._tasks[work] = self._progress.add_task(work, total=total, rate="", unit=unit, words="")
            case WorkAdvanced(work, by):
                self._advance(self._tasks[work], by)
            case WorkDescribed(work, text):
                self._progress.update(self._tasks[work], words=printable(text))
            case WorkEnded(work):
                self._progress.remove_task(self._tasks.pop(work))
            case Noted(text, level) if level == "warning" or not self._quiet:
                style = "yellow" if level == "warning" else None
                self._console.print(printable(text, lines=True), style=style, markup=False)
            case _ if not self._quiet and (line := event.line()) is not None:
                self._console.print(printable(line), markup=False)

    def _can_draw(self) -> bool:
        if self._console.is_jupyter:  # without ipywidgets rich draws nothing there, and warns at every refresh
            return importlib.util.find_spec("ipywidgets") is not None
        return _is_terminal()

    def _advance(self, task: TaskID, by: int) -> None:
        self._progress.advance(task, by)
        shown = self._progress.tasks[self._progress.task_ids.index(task)]
        rate = f"{shown.speed:,.0f} {shown.fields['unit']}/s" if shown.speed else ""
        self._progress.update(task, rate=rate)
