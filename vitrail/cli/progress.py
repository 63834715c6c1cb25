"""Progress on the terminal: bars with the time left on stderr, nothing at all where nobody looks."""

import contextlib
import sys
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vitrail.basics.events import Event, Noted, WorkAdvanced, WorkDescribed, WorkEnded, WorkStarted
from vitrail.basics.printable import printable
from vitrail.training.records import EpochDone


class _PatientConsole(Console):
    """Falls silent when whoever reads stderr has left; rich itself would end the process."""

    def on_broken_pipe(self) -> None:
        """Print nothing any more."""
        self.quiet = True


class TerminalProgress:
    """A sink of events that draws bars while it is open; notes are printed as lines.

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
            disable=quiet or not sys.stderr.isatty(),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "TerminalProgress":
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
            case EpochDone() if not self._quiet:
                self._console.print(printable(_epoch_line(event)), markup=False)
            case WorkEnded(work):
                self._progress.remove_task(self._tasks.pop(work))
            case Noted(text, level) if level == "warning" or not self._quiet:
                style = "yellow" if level == "warning" else None
                self._console.print(printable(text, lines=True), style=style, markup=False)

    def _advance(self, task: TaskID, by: int) -> None:
        self._progress.advance(task, by)
        shown = self._progress.tasks[self._progress.task_ids.index(task)]
        rate = f"{shown.speed:,.0f} {shown.fields['unit']}/s" if shown.speed else ""
        self._progress.update(task, rate=rate)


def _epoch_line(record: EpochDone) -> str:
    """One epoch in one line."""
    loss = "no finite loss" if record.training_loss is None else f"loss {record.training_loss:.3f}"
    also = "".join(f", {name.replace('_', ' ')} {100 * value:.1f} %" for name, value in record.also.items())
    place = f"{record.stage} {record.epoch_in_stage}/{record.epochs_in_stage}"
    return f"epoch    {place:<12}{loss}   {_figures(record.figures)}{also}   from {record.trained_from}"


def _figures(figures: Mapping[str, float | int]) -> str:
    """Losses as numbers, accuracies as shares that are right, and on how many images."""
    return ", ".join(_figure(name, value) for name, value in figures.items())


def _figure(name: str, value: float | int) -> str:
    if name == "n":
        return f"n = {value:,.0f}"
    return f"{100 * value:.1f} % right" if name.endswith("accuracy") else f"{name.replace('_', ' ')} {value:.3f}"
