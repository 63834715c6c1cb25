import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests.processes import assert_holds_in_its_own_process
from tests.unit.training.small_job import assert_same, outcome, pictures, prepared_job, tiny_resnet, tiny_vit, watched
from vitrail.basics.errors import SystemFault, TrainingFault
from vitrail.basics.events import Event, Noted, WorkAdvanced, WorkEnded
from vitrail.training.checkpoint import load_weights_of
from vitrail.training.loop import train
from vitrail.training.records import EpochDone, StepsDone
from vitrail.training.validation import exact_logits

STEPS = 2 + 6 + 2
"""Of head, top and whole network: six images in steps of 4 and 2."""

BUILDS = {
    "vit": lambda: tiny_vit(drop_path=0.4, pos_drop_rate=0.2, proj_drop_rate=0.2, attn_drop_rate=0.2),
    "resnet": tiny_resnet,
}
KINDS = {
    "adamw": ("vit", {}),
    "sgd, moments carried on": ("vit", {"optimizer": "sgd", "carry_optimizer": True}),
    "batch norms, moments carried on, steps in parts": ("resnet", {"carry_optimizer": True, "accumulate": 2}),
    "sgd from a cache": ("vit", {"optimizer": "sgd", "cache": "on", "views": 1}),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), train=6, val=4)


@pytest.fixture
def quick_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _file: None)


def at_step(number, action):
    """An `emit` that acts when it hears of the step `number`, counted from 1 in this process over all stages."""
    left = [number]

    def emit(event: Event) -> None:
        if isinstance(event, WorkAdvanced) and event.by == 1 and event.work.startswith("stage"):
            left[0] -= 1
            if left[0] == 0:
                action()

    return emit


def interrupt():
    raise KeyboardInterrupt


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_stopped_at_any_step_and_run_again_is_the_same_byte_for_byte(kind, images, tmp_path, quick_disk):
    build, changed = KINDS[kind]
    model = BUILDS[build]()
    whole = outcome(prepared_job(model, images, tmp_path / "whole", **changed))
    assert [record["step"] for record in whole.trained.state.history] == [2, 2, 4, 6, 2]
    moved = [name for name, value in model.state_dict().items() if not torch.equal(whole.weights[name], value)]
    assert len(moved) > 0.9 * len(whole.weights), "training that changes nothing resumes all too easily"
    for number in range(1, STEPS + 1):
        folder = tmp_path / f"stopped{number}"
        with pytest.raises(KeyboardInterrupt):
            outcome(prepared_job(model, images, folder, **changed), emit=at_step(number, interrupt))
        assert_same(outcome(prepared_job(model, images, folder, **changed)), whole)


@pytest.mark.parametrize("carried", [True, False])
def test_moments_are_taken_over_by_the_next_stage_only_where_asked(carried, images, tmp_path):
    changed = {"stages": "head,all", "carry_optimizer": carried}
    with pytest.raises(KeyboardInterrupt):  # in the first step of the second stage
        outcome(job := prepared_job(tiny_vit(), images, tmp_path, **changed), emit=at_step(3, interrupt))
    with safe_open(job.folder / "stage1-step000000000.safetensors", framework="pt") as opened:
        moments = {name for name in opened.keys() if name.startswith("optimizer/")}  # noqa: SIM118
    fields = ("exp_avg", "exp_avg_sq", "step")
    names = {f"optimizer/{field}/model/head.{end}" for field in fields for end in ("weight", "bias")}
    assert moments == (names if carried else set())


def test_a_run_that_is_stopped_again_and_again_ends_the_same(images, tmp_path, quick_disk):
    model = tiny_vit(drop_path=0.4)
    whole = outcome(prepared_job(model, images, tmp_path / "whole"))
    for _ in range(STEPS - 1):  # the second step of every process is lost
        with pytest.raises(KeyboardInterrupt):
            outcome(prepared_job(model, images, tmp_path / "stopped"), emit=at_step(2, interrupt))
    assert_same(outcome(prepared_job(model, images, tmp_path / "stopped")), whole)


def test_a_run_that_dies_while_any_file_is_written_ends_the_same(images, tmp_path, quick_disk, monkeypatch):
    model, replace = tiny_vit(drop_path=0.4), os.replace
    whole = outcome(prepared_job(model, images, tmp_path / "whole", stages="head,all"))
    number, died = 0, True
    while died:
        number, died = number + 1, False
        written = iter(range(1, 1000))

        def dies(source, target, *, last=number, written=written):
            if next(written) == last:
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(os, "replace", dies)
        try:
            outcome(prepared_job(model, images, tmp_path / f"died{number}", stages="head,all"))
        except KeyboardInterrupt:
            died = True
        monkeypatch.setattr(os, "replace", replace)
        assert_same(outcome(prepared_job(model, images, tmp_path / f"died{number}", stages="head,all")), whole)
    assert number > 4 + 2 + 2, "every step, stage and epoch writes at least one file"


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_and_writes_a_checkpoint(signal_number, images, tmp_path):
    assert_holds_in_its_own_process(_stopped_by, signal_number, images, tmp_path, printed=tmp_path / "printed")


def _stopped_by(signal_number, images, folder):
    model, changed = tiny_vit(), {"checkpoint_seconds": 1e6}
    whole = outcome(prepared_job(model, images, folder / "whole", **changed))
    job, before = prepared_job(model, images, folder / "stopped", **changed), signal.getsignal(signal_number)
    with pytest.raises(KeyboardInterrupt):
        outcome(job, emit=at_step(5, lambda: os.kill(os.getpid(), signal_number)))
    assert signal.getsignal(signal_number) is before
    assert sorted(file.name for file in job.folder.glob("stage*"))[-1] == "stage1-step000000003.safetensors"
    assert_same(outcome(prepared_job(model, images, folder / "stopped", **changed)), whole)


def test_ctrl_c_after_the_last_step_is_not_forgotten(images, tmp_path):
    assert_holds_in_its_own_process(_stopped_after_the_last_step, images, tmp_path, printed=tmp_path / "printed")


def _stopped_after_the_last_step(images, folder):
    def emit(event):
        if event == WorkEnded("stage all"):
            press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        outcome(prepared_job(tiny_vit(), images, folder / "run"), emit=emit)
    steps = []
    outcome(prepared_job(tiny_vit(), images, folder / "run"), emit=steps.append)
    assert [event for event in steps if not isinstance(event, Noted)] == [], "everything was done"
    assert steps == [Noted("resumed  training: all stages were done before")]


def test_a_second_ctrl_c_stops_at_once(images, tmp_path):
    assert_holds_in_its_own_process(_stopped_twice, images, tmp_path, printed=tmp_path / "printed")


def _stopped_twice(images, folder):
    heard = []

    def emit(event):
        heard.append(event)
        if isinstance(event, WorkAdvanced) and event.by == 1:
            press_ctrl_c()
            press_ctrl_c()

    job = prepared_job(tiny_vit(), images, folder / "run")
    with pytest.raises(KeyboardInterrupt):
        outcome(job, emit=emit)
    assert not list(job.folder.glob("stage*")), "no checkpoint was written"


def test_training_leaves_the_callers_random_numbers_as_they_were(images, tmp_path):
    model = tiny_vit(drop_path=0.4)
    torch.manual_seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    outcome(prepared_job(model, images, tmp_path))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]


def test_the_callers_random_numbers_do_not_matter(images, tmp_path):
    torch.manual_seed(1)
    one = outcome(prepared_job(model := tiny_vit(drop_path=0.4), images, tmp_path / "one"))
    torch.manual_seed(2)
    assert_same(outcome(prepared_job(model, images, tmp_path / "other")), one)


def test_the_best_weights_are_those_of_the_epoch_with_the_least_validation_loss(images, tmp_path):
    job = prepared_job(tiny_vit(), images, tmp_path, learning_rate=0.1)
    found = outcome(job)
    losses = [record["validation_loss"] for record in found.trained.state.history]
    best = found.trained.state.best
    assert best.epoch == 1 + int(np.argmin(losses)) < len(losses), "a best epoch that is also the last shows little"
    load_weights_of(job.chain.model, prepared_job(tiny_vit(), images, tmp_path).chain.model.state_dict())
    load_weights_of(job.chain.model, found.trained.best)
    logits = exact_logits(job.chain, job.validation, job.device)
    np.testing.assert_array_equal(logits, found.logits[best.epoch - 1])


def with_little_memory(job, *, at_once, only_from=None):
    """Steps with more than `at_once` images fail, after their forward pass; `only_from`: those that train it."""

    def limited(loss, batches, at):
        if len(batches["labelled"]) > at_once and only_from in (None, at.trained_from):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore lines")
        return loss

    return watched(job, limited)


@pytest.mark.parametrize("build", BUILDS)
def test_where_memory_runs_out_the_step_is_done_in_halves_exactly_as_if_asked_for(build, images, tmp_path, monkeypatch):
    model, heard, journal = BUILDS[build](), [], []
    asked = outcome(prepared_job(model, images, tmp_path / "asked", accumulate=2))
    job = with_little_memory(prepared_job(model, images, tmp_path / "forced", journal=journal), at_once=2)
    forced = outcome(job, emit=heard.append)
    assert_same(forced, asked)
    assert journal == [{"kind": "images_at_once", "stage": 0, "step": 0, "images": 2}]
    notes = [event for event in heard if isinstance(event, Noted) and event.text.startswith("memory")]
    assert notes == [Noted("memory   not enough for 4 images at once: 2 from here on", "warning")]


def test_halves_change_nothing_but_rounding(images, tmp_path, monkeypatch):
    model, changed = tiny_vit(), {"optimizer": "sgd"}  # AdamW makes a whole step of the smallest gradient
    whole = outcome(prepared_job(model, images, tmp_path / "whole", **changed))
    halved = outcome(with_little_memory(prepared_job(model, images, tmp_path / "halved", **changed), at_once=1))
    for name, value in whole.weights.items():
        torch.testing.assert_close(halved.weights[name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("build", BUILDS)
def test_a_run_whose_memory_ran_out_is_repeated_from_the_journal(build, images, tmp_path, monkeypatch, quick_disk):
    model = BUILDS[build]()
    plenty = outcome(prepared_job(model, images, tmp_path / "plenty"))
    whole = outcome(with_little_memory(prepared_job(model, images, tmp_path / "whole"), at_once=2, only_from=0))
    assert any(not torch.equal(whole.weights[name], value) for name, value in plenty.weights.items())
    for number in (STEPS - 1, STEPS):  # the stage that trains everything has two steps
        journal, folder = [], tmp_path / f"stopped{number}"
        job = with_little_memory(prepared_job(model, images, folder, journal=journal), at_once=2, only_from=0)
        with pytest.raises(KeyboardInterrupt):
            outcome(job, emit=at_step(number, interrupt))
        again = outcome(prepared_job(model, images, folder, journal=journal))  # now there is memory enough
        assert_same(again, whole)
        assert journal == [{"kind": "images_at_once", "stage": 2, "step": 0, "images": 2}]


def test_one_image_that_does_not_fit_is_an_error_with_a_way_out(images, tmp_path, monkeypatch):
    journal = []
    job = with_little_memory(prepared_job(tiny_vit(), images, tmp_path, journal=journal), at_once=0)
    with pytest.raises(SystemFault) as caught:
        outcome(job)
    assert str(caught.value) == (
        "memory does not suffice for a single image: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
        "hint: choose a smaller model or --image-size, or --set gradient_checkpointing=true"
    )
    assert [line["images"] for line in journal] == [2, 1]


def test_other_errors_of_a_step_are_not_taken_for_lack_of_memory(images, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        outcome(watched(prepared_job(tiny_vit(), images, tmp_path), broken))


def with_nan_in_steps(job, numbers):
    """The loss of these steps, counted from 0 over all stages, is NaN, and so is its gradient."""
    counted = iter(range(1000))
    return watched(job, lambda loss, *_: loss * float("nan") if next(counted) in numbers else loss)


def test_three_steps_in_a_row_that_are_not_finite_stop_the_run_and_name_their_images(images, tmp_path, monkeypatch):
    model = tiny_vit()
    job = with_nan_in_steps(prepared_job(model, images, tmp_path), {2, 3, 4})
    with pytest.raises(TrainingFault) as caught:
        outcome(job)
    listed = [
        images.train.places[image][0]
        for image in job.objectives["classification"].training.step_images(job.stages[1], 2)
    ]
    files = "".join(f"  - {path}\n" for path in listed)
    assert len(listed) == 4
    assert str(caught.value) == (
        "the loss or its gradient was not finite in 3 steps in a row, the last of them step 3 of stage top; no weight "
        f"was changed by them. Its images:\n{files}"
        f"last checkpoint: {job.folder / 'stage1-step000000002.safetensors'}\n"
        "hint: lower the learning rate, e.g. --set learning_rate=1e-5, or compute exactly with --set "
        "training_precision=float32; with other settings the run begins anew: --overwrite, or another --out"
    )
    for name, value in model.state_dict().items():
        assert torch.equal(job.chain.model.state_dict()[name], value) or name.startswith("head."), name


def test_a_fault_before_the_first_checkpoint_says_that_there_is_none(images, tmp_path, monkeypatch):
    job = prepared_job(tiny_vit(), images, tmp_path, checkpoint_seconds=1e6, head_epochs=2)
    with pytest.raises(TrainingFault, match="last checkpoint: none yet"):
        outcome(with_nan_in_steps(job, set(range(9))))


def test_two_steps_that_are_not_finite_are_left_out_and_counted(images, tmp_path, monkeypatch):
    heard = []
    job = with_nan_in_steps(prepared_job(tiny_resnet(), images, tmp_path), {2, 3, 5})
    found = outcome(job, emit=heard.append)
    told = [loss is None for record in heard if isinstance(record, StepsDone) for loss in record.losses]
    assert [number for number, missing in enumerate(told) if missing] == [2, 3, 5]
    assert (found.trained.state.skipped, found.trained.state.skipped_in_a_row) == (3, 0)
    losses = [record["training_loss"] for record in found.trained.state.history]
    assert losses[1] is None and all(loss is not None for loss in (losses[0], losses[2], losses[3]))
    assert all(torch.isfinite(value).all() for value in found.weights.values())


def test_a_model_that_calls_everything_the_same_is_told(images, tmp_path):
    model, heard = tiny_vit(), []
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([-50.0, 50.0]))
    outcome(prepared_job(model, images, tmp_path, stages="head"), emit=heard.append)
    warnings = [event for event in heard if isinstance(event, Noted)]
    assert len(warnings) == 1 and warnings[0].level == "warning"
    assert "every validation image is called 'green'" in warnings[0].text


def test_the_history_tells_what_was_trained_in_every_epoch(images, tmp_path):
    history = outcome(prepared_job(tiny_vit(), images, tmp_path)).trained.state.history
    told = [(line["stage"], line["epoch_in_stage"], line["trained_from"]) for line in history]
    top = [("top", 1, "block 3"), ("top", 2, "block 2"), ("top", 3, "block 1")]
    assert told == [("head", 1, "head"), *top, ("all", 1, "stem")]


def test_answers_that_are_no_longer_finite_end_training_with_the_place_and_a_hint(images, tmp_path):
    job = prepared_job(tiny_vit(), images, tmp_path)

    def explode():
        with torch.no_grad():
            job.chain.model.head.weight.fill_(torch.inf)

    told = r"no longer finite after epoch 1, in stage head[\s\S]*hint: lower the rate"
    with pytest.raises(TrainingFault, match=told):
        outcome(job, emit=at_step(2, explode))


def test_what_is_also_measured_stands_in_every_record_of_an_epoch(images, tmp_path):
    job, heard = prepared_job(tiny_vit(), images, tmp_path), []
    also = {"largest_weight": lambda chain: float(chain.model.head.weight.detach().abs().max())}
    plain = outcome(prepared_job(tiny_vit(), images, tmp_path / "plain"))
    found = outcome(dataclasses.replace(job, also_measured=also), emit=heard.append)
    measured = [record.also["largest_weight"] for record in heard if isinstance(record, EpochDone)]
    assert len(measured) == 5 and len(set(measured)) > 1
    assert [line["largest_weight"] for line in found.trained.state.history] == measured
    lines = [json.loads(line) for line in job.metrics.read_text().splitlines()]
    assert [line["largest_weight"] for line in lines if line["kind"] == "epoch"] == measured
    without = [{k: v for k, v in line.items() if k != "largest_weight"} for line in found.trained.state.history]
    assert without == plain.trained.state.history, "measuring changes nothing, and is in no record where not asked for"


def test_logits_of_epochs_are_kept_on_disk_unless_nobody_wants_them(images, tmp_path):
    kept, forgotten = (prepared_job(tiny_vit(), images, tmp_path / name) for name in ("kept", "forgotten"))
    train(kept)
    train(dataclasses.replace(forgotten, keep_logits=False))
    assert len(list(kept.folder.glob("logits-*"))) == 5
    assert not list(forgotten.folder.glob("logits-*"))


def test_every_steps_loss_is_written_once_however_often_the_run_is_stopped(images, tmp_path, quick_disk):
    def losses(job):
        lines = [json.loads(line) for line in job.metrics.read_text().splitlines()]
        return [loss for line in lines if line["kind"] == "steps" for loss in line["losses"]]

    whole = prepared_job(tiny_vit(), images, tmp_path / "whole")
    outcome(whole)
    for number in (3, 4):
        stopped = prepared_job(tiny_vit(), images, tmp_path / "stopped")
        with pytest.raises(KeyboardInterrupt):
            outcome(stopped, emit=at_step(number, interrupt))
    outcome(stopped := prepared_job(tiny_vit(), images, tmp_path / "stopped"))
    assert len(losses(whole)) == STEPS
    assert losses(stopped) == losses(whole)
