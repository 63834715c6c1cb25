"""The training loop: stages of epochs of steps, validated, checkpointed, and resumable bit for bit.

Everything a step depends on is computed from its number (images, views, learning rates, which layers are frozen, the
random state) or read from the last checkpoint. What the world decided is in the journal and is replayed. What is
minimised, and how an epoch is judged, is the objective's.
"""

import math
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vitrail.basics.errors import InputError, TrainingFault
from vitrail.basics.events import Emit, Event, Noted, WorkAdvanced, WorkDescribed, WorkEnded, WorkStarted, nobody
from vitrail.basics.seeds import derived_seed
from vitrail.models.chain import Chain
from vitrail.training.batch import Batches
from vitrail.training.checkpoint import MODEL, Checkpoints, best_epochs, load_weights_of, weights_of
from vitrail.training.job import TrainingJob
from vitrail.training.logits_file import has_logits, logits_file, sample_file, write_logits
from vitrail.training.meter import Meter
from vitrail.training.metrics_file import MetricsFile
from vitrail.training.objectives.objective import Judgement, Moment, Objective
from vitrail.training.out_of_memory import is_out_of_memory
from vitrail.training.parameter_groups import fill_momentum, freeze_below, made_optimizer, set_rates
from vitrail.training.records import EpochDone, StepsDone
from vitrail.training.schedule import rate_at
from vitrail.training.stages import Stage
from vitrail.training.state import Best, TrainingState
from vitrail.training.step import StepDone, StepRule, train_step
from vitrail.training.stopping import StopRequest, stop_request


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
        InputError: steps are to be computed in parts, and an objective cannot be.
        TrainingFault: several steps in a row had no finite gradient, or the model's answers are not finite.
        SystemFault: the disk is full, a worker died, or memory does not suffice for what cannot be divided further.
    """
    if job.settings.accumulate > 1 and not all(objective.divisible for objective in job.objectives.values()):
        raise InputError("this loss is none of single images: steps cannot be computed in parts", hint="accumulate=1")
    devices = [job.device] if job.device.type == "cuda" else []
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
        beside = {name: objective.modules for name, objective in job.objectives.items()}
        whole = any(stage.begins == "best" for stage in job.stages)
        self.untrained = weights_of(job.chain.model, set(job.chain.parts)) if whole else {}
        self.rule = StepRule(job.precision, job.precision.loss_scale(job.device), job.settings.clip, job.device)
        self.optimizer = made_optimizer(job.chain, job.settings, beside)
        self.checkpoints = Checkpoints(
            job.folder, {MODEL: job.chain.model, **beside, "loss scale": self.rule.scale}, self.optimizer,
            digests={name: digest for each in job.objectives.values() for name, digest in each.digests.items()},
        )  # fmt: skip
        restored = self.checkpoints.restore(is_complete=self._is_complete, emit=emit)
        self.state = TrainingState() if restored is None else restored.state
        self.changed = set() if restored is None else restored.trained
        self.best = {} if restored is None else restored.best
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
        stage = self.job.stages[self.state.stage]
        steps = self.job.objective(stage).steps_per_epoch
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
        objective = self.job.objective(stage)
        total, work = stage.epochs * objective.steps_per_epoch, f"stage {stage.name}"
        self._begin(stage)
        self.emit(WorkStarted(work, total, "steps"))
        self.emit(WorkAdvanced(work, self.state.step))
        batches = objective.batches(stage, first_step=self.state.step)
        try:
            for step, batch in self.meter.waiting(enumerate(batches, start=self.state.step)):
                self._step(stage, step, total, batch)
                self.emit(WorkAdvanced(work))
                if self.state.step % objective.steps_per_epoch == 0:
                    self._end_epoch(stage)
                self.emit(WorkDescribed(work, self.meter.words(self.state)))
                self._checkpoint_if_due(stop)
        finally:
            self.emit(WorkEnded(work))
        self._end_stage(stage)

    def trained(self) -> Trained:
        assert self.state.best is not None, "every stage has at least one epoch, which was validated"
        return Trained(self.state, self.best[self.state.best.epoch], self.changed)

    def _begin(self, stage: Stage) -> None:
        """Where the stage begins from the best weights of the one before, take these.

        What was first trained behind that best epoch is in none of its weights: it goes back to where it was.
        """
        best = self.state.stage_best
        if self.state.step == 0 and stage.begins == "best" and best is not None:
            load_weights_of(self.job.chain.model, {**self.untrained, **self.best[best.epoch]})

    def _step(self, stage: Stage, step: int, total: int, batches: Batches) -> None:
        job, objective = self.job, self.job.objective(stage)
        share = (job.total_steps(self.state.stage) + step) / job.total_steps()
        at = Moment(stage, step, step // objective.steps_per_epoch, share)
        if step % objective.steps_per_epoch == 0 or not self.meter.measuring(stage.name):
            freeze_below(job.chain, at.trained_from)
            objective.modules.train()
            self.changed |= {name for name, part in job.chain.parts.items() if part >= at.trained_from}
            self.meter.begin(stage, objective)
        rate = rate_at(step, total, job.settings.warmup_fraction, floor_fraction=job.settings.floor_fraction)
        set_rates(self.optimizer, stage.learning_rate, rate)
        done = self._attempted(objective, batches, at)
        self.state.step = step + 1
        self.meter.add(step, done, images=max(len(batch) for batch in batches.values()))

    def _attempted(self, objective: Objective, batches: Batches, at: Moment) -> StepDone:
        """The step; where memory does not suffice, again in halves, from the same random state."""
        portions, stage = self.job.portions, self.state.stage
        while True:
            torch.manual_seed(derived_seed(self.job.seed, "step", at.stage.name, at.step, rank=self.job.rank))
            most = portions.at(stage, at.step)
            try:
                return train_step(
                    self.job.chain, self.optimizer, objective, batches, self.rule, at=at, most_at_once=most
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.optimizer.zero_grad(set_to_none=True)
                half = portions.halve(stage, at.step, most, error, divisible=objective.divisible)
            self.emit(Noted(f"memory   not enough for {most} images at once: {half} from here on", "warning"))

    def _end_epoch(self, stage: Stage) -> None:
        self.meter.flush()
        state, objective = self.state, self.job.objective(stage)
        judged = objective.judged(self.job.chain)
        found = objective.judge(judged, self.job.validation, cache=self.job.judged_from.get(stage.name))
        if not math.isfinite(found.score):
            raise self._diverged(stage)
        state.epochs += 1
        if self.job.keep_logits:
            # Without them every checkpoint would be found incomplete, and a resume would begin anew.
            assert found.logits is not None, f"the objective {stage.objective!r} gives no logits to keep"
            write_logits(logits_file(self.job.folder, state.epochs), found.logits)
        record = self._epoch_record(stage, judged, found)
        state.history.append(record.as_json())
        state.loss_sum, state.loss_steps = 0.0, 0
        self._keep_best(stage, judged, found.score)
        self.emit(record)
        for warning in found.warnings:
            self.emit(Noted(f"warning  {warning}", "warning"))
        self.meter.rest()

    def _keep_best(self, stage: Stage, judged: Chain, score: float) -> None:
        """Scores of different objectives are not compared."""
        state, this = self.state, Best(self.state.epochs, score, self.state.stage)
        of_stage, of_all = state.stage_best, state.best
        if of_stage is None or of_stage.stage != state.stage or score < of_stage.score:
            state.stage_best = this
        if of_all is None or self.job.stages[of_all.stage].objective != stage.objective or score < of_all.score:
            state.best = this
        if state.epochs in best_epochs(state):
            self.best[state.epochs] = weights_of(judged.model, self.changed)
        self.best = {epoch: self.best[epoch] for epoch in best_epochs(state)}

    def _diverged(self, stage: Stage) -> TrainingFault:
        return TrainingFault(
            f"the model's answers to validation images are no longer finite after epoch {self.state.epochs + 1}, in "
            f"stage {stage.name}; last checkpoint: {self.checkpoints.newest() or 'none yet'}",
            hint="lower the rate, e.g. --set learning_rate=1e-4, and begin anew with --overwrite or another --out",
        )

    def _epoch_record(self, stage: Stage, judged: Chain, found: Judgement) -> EpochDone:
        state, epoch = self.state, self.state.step // self.job.objective(stage).steps_per_epoch
        names = self.job.chain.order.names
        return EpochDone(
            stage=stage.name,
            epoch=state.epochs,
            epoch_in_stage=epoch,
            epochs_in_stage=stage.epochs,
            step=state.step,
            training_loss=state.loss_sum / state.loss_steps if state.loss_steps else None,
            figures=dict(found.figures),
            learning_rates={group["layer"]: group["lr"] for group in self.optimizer.param_groups},
            trained_from=names[min(stage.trained_from(epoch - 1), len(names) - 1)],
            also={name: measure(judged) for name, measure in self.job.also_measured.items()},
        )

    def _end_stage(self, stage: Stage) -> None:
        self.state.stage, self.state.step = self.state.stage + 1, 0
        if not self.job.settings.carry_optimizer:
            self.optimizer.state.clear()
            fill_momentum(self.optimizer)
        if self.state.stage == len(self.job.stages):
            objective = self.job.objective(stage)
            judged = objective.judged(self.job.chain)
            found = objective.judge(judged, self.job.sample)
            self.state.final_training_loss = found.loss
            if self.job.keep_logits and found.logits is not None:
                write_logits(sample_file(self.job.folder), found.logits)
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
