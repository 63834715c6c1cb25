"""What training tells those who watch: small read-only records, without torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vitrail.basics.events import Event


@dataclass(frozen=True)
class StepsDone(Event):
    """Some steps are done; sent about once a second.

    Attributes:
        stage: its name.
        epoch: from 1, within the stage.
        step: steps done in the stage.
        total_steps: of the stage.
        loss: mean training loss of the steps since the last record, in nats; None when none was finite.
        images_per_second: since the last record.
        waiting_percent: share of the time since then that was spent waiting for images.
        skipped: steps of the run that were left out because their gradient was not finite.
        losses: of every one of these steps, in order; None where one was left out.
    """

    stage: str
    epoch: int
    step: int
    total_steps: int
    loss: float | None
    images_per_second: float
    waiting_percent: float
    skipped: int
    losses: tuple[float | None, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """One line of `metrics.jsonl`."""
        return {"kind": "steps", **asdict(self)}


@dataclass(frozen=True)
class EpochDone(Event):
    """An epoch is over and was validated.

    Attributes:
        stage: its name.
        epoch: from 1, over all stages.
        epoch_in_stage: from 1.
        epochs_in_stage: how many the stage has.
        step: steps done in the stage.
        training_loss: mean over the epoch's steps, of augmented images and while learning, in nats.
        figures: of the held-out images, as the objective judges them: for classes `validation_loss` (mean log loss in
            nats), `validation_accuracy` (share that is right, 0-1) and `n` (on how many images).
        learning_rates: of the epoch's last step, by layer group.
        trained_from: name of the first layer group that was trained.
        also: shares (0-1) that were measured beside these figures, by name.
    """

    stage: str
    epoch: int
    epoch_in_stage: int
    epochs_in_stage: int
    step: int
    training_loss: float | None
    figures: dict[str, float | int]
    learning_rates: dict[str, float]
    trained_from: str
    also: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """One line of `metrics.jsonl`."""
        own = asdict(self)
        figures, also = own.pop("figures"), own.pop("also")
        return {"kind": "epoch", **own, **figures, **also}

    def line(self) -> str:
        """The epoch in one line."""
        loss = "no finite loss" if self.training_loss is None else f"loss {self.training_loss:.3f}"
        also = "".join(f", {name.replace('_', ' ')} {100 * value:.1f} %" for name, value in self.also.items())
        place = f"{self.stage} {self.epoch_in_stage}/{self.epochs_in_stage}"
        return f"epoch    {place:<12}{loss}   {_figures(self.figures)}{also}   from {self.trained_from}"


def _figures(figures: Mapping[str, float | int]) -> str:
    """Losses as numbers, accuracies as shares that are right, and on how many images."""
    return ", ".join(_figure(name, value) for name, value in figures.items())


def _figure(name: str, value: float | int) -> str:
    if name == "n":
        return f"n = {value:,.0f}"
    return f"{100 * value:.1f} % right" if name.endswith("accuracy") else f"{name.replace('_', ' ')} {value:.3f}"
