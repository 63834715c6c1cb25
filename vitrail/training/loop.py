"""The training loop: stages of epochs of steps, validated, checkpointed, and resumable bit for bit.

Everything a step depends on is computed from its number (images, views, learning rates, which layers are frozen, the
random state) or read from the last checkpoint. What the world decided is in the journal and is replayed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vitrail.basics.errors import TrainingFault
from vitrail.basics.events import Emit, Event, Noted, WorkAdvanced, WorkDescribed, WorkEnded, WorkStarted, nobody
from vitrail.basics.seeds import derived_seed
from vitrail.measures.calibration import fitted_temperature, log_losses
from vitrail.models.chain import Chain
from vitrail.training.checkpoint import Checkpoints, weights_of
from vitrail.training.logits_file import has_logits, logits_file, write_logits
from vitrail.training.meter import Meter
from vitrail.training.metrics_file import MetricsFile
from vitrail.training.out_of_memory import Portions, is_out_of_memory
from vitrail.training.parameter_groups import fill_momentum, freeze_below, made_optimizer, set_rates
from vitrail.training.records import EpochDone, StepsDone
from vitrail.training.schedule import rate_at
from vitrail.training.settings import TrainingSettings
from vitrail.training.sources import HeldOut, TrainingData
from vitrail.training.stage_caches import Caches
from vitrail.training.stages import Stage
from vitrail.training.state import Best, TrainingState
from vitrail.training.step import Batch, StepRule, train_step
from vitrail.training.stopping import StopRequest, stop_request
from vitrail.training.validation import exact_logits


@dataclass(frozen=True)
class TrainingJob:
    """Everything that a training run is made of.

    Attributes:
        chain: the model, its head already the probe.
        stages: in order.
        training: the training images.
        validation: the images that choose the best epoch.
        sample: some training images, for the loss measured as validation is.
        caches: by stage name.
        rule: what is the same for all steps.
        portions: how many images are computed at once.
        settings: as asked for.
        classes: names in the order of the logits.
        folder: for checkpoints and the validation logits of every epoch.
        metrics: the file that every record is appended to.
        also_measured: what else is measured of the model after every epoch, shares by name.
        keep_logits: whether the validation logits of every epoch stay on disk.
    """

    chain: Chain
    stages: tuple[Stage, ...]
    training: TrainingData
    validation: HeldOut
    sample: HeldOut
    caches: Mapping[str, Caches]
    rule: StepRule
    portions: Portions
    settings: TrainingSettings
    classes: tuple[str, ...]
    folder: Path
    metrics: Path
    also_measured: Mapping[str, Callable[[Chain], float]] = field(default_factory=dict)
    keep_logits: bool = True


@dataclass(frozen=True)
class Trained:
    """What training ends with.

    Attributes:
        state: with the record of every epoch, and the best one.
        best: the weights of the best epoch, as `weights_of` copies them.
        changed: names of all parameters that some stage trained.
    """

    state: TrainingState
    best: dict[str, Tensor]
    changed: set[str] = field(default_factory=set)


def train(job: TrainingJob, *, emit: Emit = nobody) -> Trained:
    """Run, or continue, a training run; the model ends with the weights of the last step.

    Raises:
        KeyboardInterrupt: Ctrl-C; a checkpoint has been written.
        TrainingFault: several steps in a row had no finite gradient, or the model's answers are not finite.
        SystemFault: the disk is full, a worker died, or one image alone does not fit into memory.
    """
    devices = [job.rule.device] if job.rule.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), stop_request() as stop:
        run = _Run(job, emit)
        while run.state.stage < len(job.stages):
            run.stage(job.stages[run.state.stage], stop)
        if stop.made:  # behind the last step, where no step asks any more
            raise KeyboardInterrupt
        return run.trained()


class _Run:
    def __init__(self, job: TrainingJob, emit: Emit) -> None:
        self.job, self._emit = job, emit
        self.optimizer = made_optimizer(job.chain, job.settings)
        self.checkpoints = Checkpoints(job.folder, job.chain.model, self.optimizer)
        restored = self.checkpoints.restore(is_complete=self._is_complete, emit=emit)
        self.state, self.changed, self.best = restored or (TrainingState(), set(), None)
        names = [stage.name for stage in job.stages]
        self.metrics = MetricsFile(
            job.metrics, names, stage=self.state.stage, step=self.state.step, history=self.state.history, emit=emit
        )
        if restored is not None:
            emit(Noted(f"resumed  training: {self._place()}"))
        self.meter = Meter(self.state, self.emit, last_checkpoint=self.checkpoints.newest)
        self.started = time.monotonic() - self.state.seconds
        self.written_at, self.write_seconds = time.monotonic(), 0.0

    def _is_complete(self, state: TrainingState) -> bool:
        return not self.job.keep_logits or has_logits(self.job.folder, state.epochs)

    def _place(self) -> str:
        """Where the run goes on, in words."""
        if self.state.stage == len(self.job.stages):
            return "all stages were done before"
        stage, steps = self.job.stages[self.state.stage], self.job.training.steps_per_epoch
        return (
            f"goes on in stage {stage.name}, epoch {self.state.step // steps + 1} of {stage.epochs}, "
            f"{self.state.step:,} of {stage.epochs * steps:,} steps were done before"
        )

    def emit(self, event: Event) -> None:
        """Tell whoever watches, and keep what is a record."""
        if isinstance(event, StepsDone | EpochDone):
            self.metrics.add(event)
        self._emit(event)

    def stage(self, stage: Stage, stop: StopRequest) -> None:
        """All steps of one stage that are still to be done, and the checkpoint behind them."""
        training, caches = self.job.training, self.job.caches.get(stage.name, Caches())
        total = stage.epochs * training.steps_per_epoch
        work = f"stage {stage.name}"
        self.emit(WorkStarted(work, total, "steps"))
        self.emit(WorkAdvanced(work, self.state.step))
        batches = training.batches(stage, first_step=self.state.step, cache=caches.training)
        try:
            for step, batch in self.meter.waiting(enumerate(batches, start=self.state.step)):
                self._step(stage, step, total, batch)
                self.emit(WorkAdvanced(work))
                if self.state.step % training.steps_per_epoch == 0:
                    self._end_epoch(stage, caches)
                self.emit(WorkDescribed(work, self.meter.words(self.state)))
                self._checkpoint_if_due(stop)
        finally:
            self.emit(WorkEnded(work))
        self._end_stage(stage, caches)

    def trained(self) -> Trained:
        assert self.best is not None, "every stage has at least one epoch, which was validated"
        return Trained(self.state, self.best, self.changed)

    def _step(self, stage: Stage, step: int, total: int, batch: Batch) -> None:
        job, epoch = self.job, step // self.job.training.steps_per_epoch
        place = stage.trained_from(epoch)
        if step % job.training.steps_per_epoch == 0 or not self.meter.measuring(stage.name):
            freeze_below(job.chain, place)
            self.changed |= {name for name, part in job.chain.parts.items() if part >= place}
            self.meter.begin(stage, job.training)
        share = rate_at(step, total, job.settings.warmup_fraction, floor_fraction=job.settings.floor_fraction)
        set_rates(self.optimizer, stage.learning_rate, share)
        loss, skipped = self._attempted(stage, step, batch, place)
        self.state.step = step + 1
        self.meter.add(step, loss, skipped, images=len(batch.labels))

    def _attempted(self, stage: Stage, step: int, batch: Batch, place: int) -> tuple[Tensor, Tensor]:
        """The step; where memory does not suffice, again in halves, from the same random state."""
        portions = self.job.portions
        while True:
            torch.manual_seed(derived_seed(self.job.training.seed, "step", stage.name, step))
            most = portions.at(self.state.stage, step)
            try:
                return train_step(
                    self.job.chain, self.optimizer, batch, self.job.rule, trained_from=place, most_at_once=most
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.optimizer.zero_grad(set_to_none=True)
                half = portions.halve(self.state.stage, step, most, error)
            self.emit(Noted(f"memory   not enough for {most} images at once: {half} from here on", "warning"))

    def _end_epoch(self, stage: Stage, caches: Caches) -> None:
        self.meter.flush()
        state, labels = self.state, self.job.validation.labels
        logits = exact_logits(self.job.chain, self.job.validation, self.job.rule.device, cache=caches.validation)
        if not np.isfinite(logits).all():
            raise self._diverged(stage)
        state.epochs += 1
        if self.job.keep_logits:
            write_logits(logits_file(self.job.folder, state.epochs), logits)
        record = self._epoch_record(stage, logits, labels)
        state.history.append(record.as_json())
        state.loss_sum, state.loss_steps = 0.0, 0
        _, softened = fitted_temperature(logits, labels)
        if state.best is None or softened < state.best.loss:
            state.best = Best(state.epochs, softened)
            self.best = weights_of(self.job.chain.model, self.changed)
        self.emit(record)
        self._warn_of_one_answer(logits, labels)
        self.meter.rest()

    def _diverged(self, stage: Stage) -> TrainingFault:
        return TrainingFault(
            f"the model's answers to validation images are no longer finite after epoch {self.state.epochs + 1}, in "
            f"stage {stage.name}; last checkpoint: {self.checkpoints.newest() or 'none yet'}",
            hint="lower the rate, e.g. --set learning_rate=1e-4, and begin anew with --overwrite or another --out",
        )

    def _warn_of_one_answer(self, logits: np.ndarray, labels: np.ndarray) -> None:
        answers = np.unique(logits.argmax(axis=1))
        if len(answers) == 1 and len(np.unique(labels)) > 1:
            name = self.job.classes[int(answers[0])]
            text = f"warning  every validation image is called {name!r}: the learning rate is probably too high"
            self.emit(Noted(text, "warning"))

    def _epoch_record(self, stage: Stage, logits: np.ndarray, labels: np.ndarray) -> EpochDone:
        state, epoch = self.state, self.state.step // self.job.training.steps_per_epoch
        order = self.job.chain.order
        return EpochDone(
            stage=stage.name,
            epoch=state.epochs,
            epoch_in_stage=epoch,
            epochs_in_stage=stage.epochs,
            step=state.step,
            training_loss=state.loss_sum / state.loss_steps if state.loss_steps else None,
            validation_loss=float(log_losses(logits, labels).mean()),
            validation_accuracy=float((logits.argmax(axis=1) == labels).mean()),
            learning_rates={group["layer"]: group["lr"] for group in self.optimizer.param_groups},
            trained_from=order.names[min(stage.trained_from(epoch - 1), len(order.names) - 1)],
            also={name: measure(self.job.chain) for name, measure in self.job.also_measured.items()},
        )

    def _end_stage(self, stage: Stage, caches: Caches) -> None:
        self.state.stage, self.state.step = self.state.stage + 1, 0
        if not self.job.settings.carry_optimizer:
            self.optimizer.state.clear()
            fill_momentum(self.optimizer)
        if self.state.stage == len(self.job.stages):
            sample = self.job.sample
            logits = exact_logits(self.job.chain, sample, self.job.rule.device)
            self.state.final_training_loss = float(log_losses(logits, sample.labels).mean())
        self._checkpoint()

    def _checkpoint_if_due(self, stop: StopRequest) -> None:
        pause = self.job.settings.checkpoint_seconds
        wait = max(pause, 100 * self.write_seconds) if pause else 0.0
        if stop.made or time.monotonic() - self.written_at >= wait:
            self.meter.flush()
            self._checkpoint()
        if stop.made:
            raise KeyboardInterrupt

    def _checkpoint(self) -> None:
        started = time.monotonic()
        self.state.seconds = started - self.started
        self.checkpoints.write(self.state, self.changed, self.best)
        self.written_at = time.monotonic()
        self.write_seconds = self.written_at - started
