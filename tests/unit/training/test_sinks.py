import builtins
import json

import pytest

from vitrail.basics.errors import SystemFault
from vitrail.basics.events import Noted
from vitrail.training.metrics_file import MetricsFile
from vitrail.training.records import EpochDone, StepsDone
from vitrail.training.sinks import MLflowSink, TensorBoardSink, Watchers


def epoch(number, *, stage="head", step=4, loss=0.5):
    return EpochDone(
        stage=stage, epoch=number, epoch_in_stage=number, epochs_in_stage=3, step=step, training_loss=loss,
        figures={"validation_loss": 0.25, "validation_accuracy": 0.75}, trained_from="head",
        learning_rates={"head": 1e-3, "norm": 5e-4},
    )  # fmt: skip


def steps(step, *, stage="head"):
    return StepsDone(
        stage=stage,
        epoch=1,
        step=step,
        total_steps=12,
        loss=0.7,
        images_per_second=10.0,
        waiting_percent=0.0,
        skipped=0,
    )


def test_tensorboard_reads_back_every_figure_by_epoch(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Watchers(lambda _: None, ("tensorboard",), folder=tmp_path, name="run") as tell:
        tell(epoch(1, loss=0.5))
        tell(epoch(2, loss=None))
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(each.step, each.value) for each in read.Scalars("accuracy/validation")] == [(1, 0.75), (2, 0.75)]
    assert [each.step for each in read.Scalars("loss/training")] == [1]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_back_every_figure_by_epoch(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'tracking'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path / 'tracking'}")
    sink = MLflowSink(tmp_path, "run")
    sink(epoch(1))
    sink(epoch(2))
    sink.close()
    client = mlflow.MlflowClient()
    run = client.search_runs([client.get_experiment_by_name("vitrail").experiment_id])[0]
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "loss/validation")
    assert [(each.step, each.value) for each in history] == [(1, 0.25), (2, 0.25)]


@pytest.mark.parametrize(("sink", "module"), [(TensorBoardSink, "torch.utils.tensorboard"), (MLflowSink, "mlflow")])
def test_a_sink_that_is_not_installed_names_its_extra(sink, module, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments):
        if name == module:
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    extra = module.rpartition(".")[2]
    with pytest.raises(SystemFault, match=rf"{extra} is not installed[\s\S]*hint: pip install 'vitrail\[{extra}\]'"):
        sink(tmp_path, "run")


def test_the_first_listener_hears_everything_and_sinks_only_add_to_it(tmp_path):
    heard = []
    with Watchers(heard.append, (), folder=tmp_path, name="run") as tell:
        tell(Noted("hello"))
        tell(epoch(1))
    assert heard == [Noted("hello"), epoch(1)]


def test_metrics_from_beyond_the_checkpoint_are_removed_when_a_run_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = MetricsFile(path, ["head", "all"], stage=0, step=0)
    for record in (steps(2), steps(4), epoch(1, step=4), steps(6), steps(2, stage="all")):
        first.add(record)
    with open(path, "a") as file:
        file.write('{"kind": "ste')
    again = MetricsFile(path, ["head", "all"], stage=0, step=4)
    again.add(steps(5))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["kind"], line["step"]) for line in lines] == [("steps", 2), ("steps", 4), ("epoch", 4), ("steps", 5)]


def test_a_damaged_line_loses_itself_alone_and_an_epochs_record_comes_back_from_the_checkpoint(tmp_path):
    path, told = tmp_path / "metrics.jsonl", []
    first = MetricsFile(path, ["head", "all"], stage=0, step=0)
    records = [steps(2), epoch(1, step=2), steps(4), epoch(2, step=4), steps(6)]
    for record in records:
        first.add(record)
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (1, 2):  # the record of an epoch, and of steps
        lines[damaged] = lines[damaged][:20] + bytes([lines[damaged][20] ^ 1]) + lines[damaged][21:]
    path.write_bytes(b"".join(lines))
    history = [epoch(1, step=2).as_json(), epoch(2, step=4).as_json()]
    MetricsFile(path, ["head", "all"], stage=0, step=6, history=history, emit=told.append)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["kind"], line["step"]) for line in kept] == [("steps", 2), ("epoch", 2), ("epoch", 4), ("steps", 6)]
    assert [event.text for event in told] == [
        f"damaged  {path}: 2 lines are not what was written, and left out; the records of 1 epochs were put back from "
        "the checkpoint"
    ]


def test_a_changed_digit_in_a_record_is_seen(tmp_path):
    path, told = tmp_path / "metrics.jsonl", []
    MetricsFile(path, ["head"], stage=0, step=0).add(steps(2))
    path.write_bytes(path.read_bytes().replace(b'"step": 2', b'"step": 3'))
    MetricsFile(path, ["head"], stage=0, step=6, emit=told.append)
    assert path.read_bytes() == b"" and "1 line is not what was written" in told[0].text
