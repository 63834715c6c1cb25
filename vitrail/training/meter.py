"""How training is going: loss, speed, waiting; read from the device once a second, not once a step."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from vitrail.basics.errors import TrainingFault
from vitrail.basics.events import Emit
from vitrail.training.objectives.objective import Objective
from vitrail.training.records import StepsDone
from vitrail.training.stages import Stage
from vitrail.training.state import TrainingState
from vitrail.training.step import StepDone

SECONDS_BETWEEN_READINGS = 1.0
MOST_SKIPPED_IN_A_ROW = 3
"""Steps in a row without a finite gradient after which training stops."""

NAMES_SHOWN = 8

Item = TypeVar("Item")


class Meter:
    """Collects what the steps give and tells it from time to time; also stops a run that has lost its way."""

    def __init__(self, state: TrainingState, emit: Emit, *, last_checkpoint: Callable[[], Path | None]) -> None:
        self._state, self._emit, self._last_checkpoint = state, emit, last_checkpoint
        self._pending: list[tuple[int, StepDone]] = []
        self._images = 0
        self._waited = 0.0
        self._since = time.monotonic()
        self._stage: Stage | None = None
        self._objective: Objective | None = None
        self._last: StepsDone | None = None

    def waiting(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The same items; the time that getting each one takes is booked as waiting."""
        iterator = iter(batches)
        while True:
            started = time.monotonic()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._waited += time.monotonic() - started
            yield item

    def measuring(self, stage: str) -> bool:
        """Whether an epoch of this stage is being measured."""
        return self._stage is not None and self._stage.name == stage

    def begin(self, stage: Stage, objective: Objective) -> None:
        """An epoch begins, or goes on after a resume."""
        self._stage, self._objective = stage, objective
        self._restart()

    def rest(self) -> None:
        """What follows is no training: its time does not count."""
        self._stage = None

    def add(self, step: int, done: StepDone, *, images: int) -> None:
        """One step is done.

        Raises:
            TrainingFault: see `flush`.
        """
        self._pending.append((step, done))
        self._images += images
        if time.monotonic() - self._since > SECONDS_BETWEEN_READINGS:
            self.flush()

    def flush(self) -> None:
        """Read what is pending from the device, book it in the state, and tell it.

        Raises:
            TrainingFault: too many steps in a row had no finite gradient; the message names the images of the first.
        """
        if not self._pending:
            return
        values = torch.stack(
            [torch.stack((done.loss.float(), done.skipped, done.searching)) for _, done in self._pending]
        ).tolist()
        losses: list[float | None] = []
        for (step, _), (loss, skipped, searching) in zip(self._pending, values, strict=True):
            losses.append(None if skipped else loss)
            if searching:
                self._state.scale_searches += 1
            elif skipped:
                self._book_skipped(step)
            else:
                self._state.skipped_in_a_row = 0
                self._state.loss_sum += loss
                self._state.loss_steps += 1
        self._book_time()
        self._tell(losses)
        self._pending.clear()
        self._restart()

    def words(self, state: TrainingState) -> str:
        """How it is going, in a few words."""
        last = self._last
        if last is None:
            return ""
        loss = "no finite loss" if last.loss is None else f"loss {last.loss:.3f}"
        shown = f"epoch {last.epoch}, {loss}, {last.images_per_second:,.0f} images/s"
        epoch = state.history[-1] if state.history else {}
        if epoch.get("validation_accuracy") is not None:
            among = f" of {epoch['n']:,}" if "n" in epoch else ""  # a run from before does not say it
            shown += f", validation {100 * epoch['validation_accuracy']:.1f} %{among}"
        return shown + (f", waiting {last.waiting_percent:.0f} %" if last.waiting_percent >= 1 else "")

    def _restart(self) -> None:
        self._images, self._waited, self._since = 0, 0.0, time.monotonic()

    def _book_time(self) -> None:
        assert self._stage is not None
        booked = self._state.spent.setdefault(self._stage.name, {"seconds": 0.0, "images": 0, "waited": 0.0})
        booked["seconds"] += time.monotonic() - self._since
        booked["images"] += self._images
        booked["waited"] += self._waited

    def _book_skipped(self, step: int) -> None:
        self._state.skipped += 1
        self._state.skipped_in_a_row += 1
        if self._state.skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
            raise self._fault(step)

    def _fault(self, step: int) -> TrainingFault:
        assert self._stage is not None and self._objective is not None
        names = self._objective.names(self._stage, step)
        listed = "\n".join(f"  - {name}" for name in names[:NAMES_SHOWN])
        more = f"\n  and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        return TrainingFault(
            f"the loss or its gradient was not finite in {MOST_SKIPPED_IN_A_ROW} steps in a row, the last of them step "
            f"{step + 1} of stage {self._stage.name}; no weight was changed by them. Its images:\n{listed}{more}\n"
            f"last checkpoint: {self._last_checkpoint() or 'none yet'}",
            hint="lower the learning rate, e.g. --set learning_rate=1e-5, or compute exactly with --set "
            "training_precision=float32; with other settings the run begins anew: --overwrite, or another --out",
        )

    def _tell(self, losses: list[float | None]) -> None:
        assert self._stage is not None and self._objective is not None
        good = [loss for loss in losses if loss is not None]
        seconds = max(time.monotonic() - self._since, 1e-9)
        last_step = self._pending[-1][0]
        self._last = StepsDone(
            stage=self._stage.name,
            epoch=last_step // self._objective.steps_per_epoch + 1,
            step=last_step + 1,
            total_steps=self._stage.epochs * self._objective.steps_per_epoch,
            loss=sum(good) / len(good) if good else None,
            images_per_second=self._images / seconds,
            waiting_percent=min(100.0, 100 * self._waited / seconds),
            skipped=self._state.skipped,
            losses=tuple(losses),
        )
        self._emit(self._last)
