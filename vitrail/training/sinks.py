"""Where else the records of training can go: TensorBoard and MLflow, each an extra."""

from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from vitrail.basics.errors import missing_extra
from vitrail.basics.events import Event
from vitrail.training.records import EpochDone


class Sink(Protocol):
    """Receives events until it is closed."""

    def __call__(self, event: Event) -> None:
        """Keep what the event says."""

    def close(self) -> None:
        """Write what is still in memory."""


class TensorBoardSink:
    """Event files that `tensorboard --logdir RUN` shows; the horizontal axis counts epochs of all stages.

    Raises:
        SystemFault: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, _name: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # an extra
        except ImportError as error:
            raise missing_extra("tensorboard", error) from error
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def __call__(self, event: Event) -> None:
        """Keep an epoch's figures."""
        if isinstance(event, EpochDone):
            for name, value in figures(event).items():
                self._writer.add_scalar(name, value, event.epoch)

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


class MLflowSink:
    """A run at the tracking server that MLflow's own settings name (`MLFLOW_TRACKING_URI`).

    Raises:
        SystemFault: MLflow is not installed.
    """

    def __init__(self, folder: Path, name: str) -> None:
        try:
            import mlflow  # an extra
        except ImportError as error:
            raise missing_extra("mlflow", error) from error
        self._client: Any = mlflow.MlflowClient()
        experiment = mlflow.set_experiment("vitrail")
        self._run: Any = self._client.create_run(experiment.experiment_id, run_name=name, tags={"folder": folder.name})

    def __call__(self, event: Event) -> None:
        """Keep an epoch's figures."""
        if isinstance(event, EpochDone):
            for name, value in figures(event).items():
                self._client.log_metric(self._run.info.run_id, name, value, step=event.epoch)

    def close(self) -> None:
        """Mark the run as ended."""
        self._client.set_terminated(self._run.info.run_id)


SINKS = {"tensorboard": TensorBoardSink, "mlflow": MLflowSink}


class Watchers:
    """Passes every event on to a first listener and to the sinks, and closes these at the end of a `with` block.

    Args:
        emit: the first listener.
        sinks: names of others.
        folder: of the run.
        name: of the run.
    """

    def __init__(self, emit: Any, sinks: tuple[str, ...], *, folder: Path, name: str) -> None:
        self._emit = emit
        self._sinks: list[Sink] = [SINKS[sink](folder, name) for sink in sinks]

    def __call__(self, event: Event) -> None:
        """Tell everybody."""
        self._emit(event)
        for sink in self._sinks:
            sink(event)

    def __enter__(self) -> "Watchers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sink in self._sinks:
            sink.close()


def figures(record: EpochDone) -> dict[str, float | int]:
    """An epoch's numbers under the names they have in both places."""
    curves = {name: value for name, value in record.figures.items() if name != "n"}
    shown = {
        **{f"{name.removeprefix('validation_')}/validation": value for name, value in curves.items()},
        "learning_rate/last_layer": max(record.learning_rates.values()),
        **record.also,
    }
    return shown if record.training_loss is None else {"loss/training": record.training_loss, **shown}
