import errno
import os
import random

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.unit.training.small_job import tiny_resnet, tiny_vit
from vitrail.basics.errors import InputError, SystemFault
from vitrail.basics.events import Recovered
from vitrail.models.chain import Chain
from vitrail.training.checkpoint import Checkpoints, load_weights_of, weights_of
from vitrail.training.parameter_groups import freeze_below, made_optimizer, set_rates
from vitrail.training.settings import TrainingSettings
from vitrail.training.state import Best, TrainingState

KINDS = {
    "adamw": (tiny_vit, {}),
    "sgd": (tiny_vit, {"optimizer": "sgd"}),
    "sgd without momentum": (tiny_vit, {"optimizer": "sgd", "momentum": 0.0}),
    "batch norms": (tiny_resnet, {}),
}


class Run:
    """A model in training, and its checkpoints; `place`: what stands behind it is trained."""

    def __init__(self, folder, kind: str = "adamw", *, place: int = 3) -> None:
        build, settings = KINDS[kind]
        self.model = build()
        self.chain = Chain(self.model)
        self.optimizer = made_optimizer(self.chain, TrainingSettings.parse(**settings))
        set_rates(self.optimizer, 0.1, 1.0)
        freeze_below(self.chain, place)
        self.trained = {name for name, part in self.chain.parts.items() if part >= place}
        self.checkpoints = Checkpoints(folder, {"model": self.model}, self.optimizer)
        self.generator = torch.Generator().manual_seed(0)

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.optimizer.zero_grad()
            self.model(torch.randn(4, 3, 16, 16, generator=self.generator)).square().sum().backward()
            self.optimizer.step()

    def write(self, step: int, *, best: int | None = None, stage: int = 0) -> TrainingState:
        state = TrainingState(
            stage=stage, step=step, epochs=step // 2, loss_sum=0.1 + step, loss_steps=step, skipped=1,
            best=None if best is None else Best(best, 0.25, stage), seconds=12.5,
            history=[{"kind": "epoch", "loss": 0.1}],
            spent={"head": {"seconds": 0.5, "images": 3, "waited": 0.0}},
        )  # fmt: skip
        weights = {} if best is None else {best: weights_of(self.model, self.trained)}
        self.checkpoints.write(state, self.trained, weights)
        return state

    def everything(self) -> dict[str, torch.Tensor]:
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        kept = {f"{names[p]} {field}": v for p, facts in self.optimizer.state.items() for field, v in facts.items()}
        return {name: value.clone() for name, value in {**self.model.state_dict(), **kept}.items()}

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in self.checkpoints.folder.iterdir())


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_restored_is_what_was_written(kind, tmp_path):
    run = Run(tmp_path, kind)
    run.steps(3)
    written, expected = run.write(3, best=1), run.everything()
    best = weights_of(run.model, run.trained)
    run.steps(1)
    again = Run(tmp_path, kind)
    found = again.checkpoints.restore()
    state, trained, weights = found.state, found.trained, found.best[1]
    assert state == written and trained == run.trained
    assert_equal(weights, best)
    assert_equal(again.everything(), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_run_takes_the_steps_that_the_other_would_have_taken(kind, tmp_path):
    run = Run(tmp_path, kind)
    run.steps(2)
    run.write(2)
    again = Run(tmp_path, kind)
    again.checkpoints.restore()
    again.generator.set_state(run.generator.get_state())
    run.steps(2)
    again.steps(2)
    assert_equal(again.everything(), run.everything())


def test_restoring_forgets_what_the_optimiser_remembered(tmp_path):
    run = Run(tmp_path)
    run.write(0)
    run.steps(2)
    run.checkpoints.restore()
    assert not any(run.optimizer.state.values())


def test_without_a_checkpoint_nothing_is_restored(tmp_path):
    run = Run(tmp_path / "nowhere")
    assert run.checkpoints.restore() is None and run.checkpoints.newest() is None


def test_only_what_was_trained_is_in_the_file_with_its_moments_and_all_buffers(tmp_path):
    run = Run(tmp_path, "batch norms", place=4)
    run.steps(1)
    run.write(1)
    with safe_open(run.checkpoints.newest(), framework="pt") as opened:
        names = set(opened.keys())
    moments = {f"optimizer/{field}/model/{name}" for field in ("exp_avg", "exp_avg_sq", "step") for name in run.trained}
    assert {name for name in names if name.startswith("optimizer/")} == moments
    buffers = {name for name, _ in run.model.named_buffers()}
    kept = {name.removeprefix("model/") for name in names if name.startswith("model/")}
    assert kept == run.trained | buffers and len(buffers) > 9


@pytest.mark.parametrize("left", [0.0, 0.001, 0.5, 0.999])
def test_a_newest_file_that_was_cut_short_falls_back_to_the_one_before(left, tmp_path):
    run = Run(tmp_path)
    run.steps(1)
    first, expected = run.write(1, best=1), run.everything()
    run.steps(1)
    run.write(2, best=2)
    newest = run.checkpoints.newest()
    newest.write_bytes(newest.read_bytes()[: int(left * newest.stat().st_size)])
    again = Run(tmp_path)
    found = again.checkpoints.restore()
    state, best = found.state, found.best[1]
    assert state == first
    assert_equal(again.everything(), expected)
    assert best is not None


def test_a_checkpoint_whose_best_weights_are_gone_falls_back_to_the_one_before(tmp_path):
    run = Run(tmp_path)
    first = run.write(1, best=1)
    run.write(2, best=2)
    (tmp_path / "best-epoch000002.safetensors").unlink()
    assert Run(tmp_path).checkpoints.restore().state == first


def test_when_no_file_can_be_read_nothing_is_restored_and_the_run_begins_anew(tmp_path):
    run = Run(tmp_path)
    for step in (1, 2):
        run.write(step)
    for name in run.files:
        (tmp_path / name).write_bytes(b"not a checkpoint")
    again, fresh = Run(tmp_path), Run(tmp_path / "other")
    assert again.checkpoints.restore() is None
    assert_equal(again.everything(), fresh.everything())
    again.write(1)
    assert again.checkpoints.newest().name == "stage0-step000000001.safetensors", "nothing damaged is taken for newer"


@pytest.mark.parametrize("refused", [1, 2])
def test_a_full_disk_is_an_error_and_leaves_the_older_checkpoints(refused, tmp_path, monkeypatch):
    run = Run(tmp_path)
    for step in (1, 2):
        run.steps(1)
        expected, state = run.everything(), run.write(step, best=step)
    before, calls, fsync = run.files, iter(range(1, 9)), os.fsync

    def no_space(file):
        if next(calls) == refused:  # 1: the best weights, 2: the checkpoint itself
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    run.steps(1)
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(SystemFault, match=r"the disk is full: .* could not be written\nhint: free some space"):
        run.write(3, best=3)
    assert set(before) <= set(run.files), "nothing was removed"
    assert not [name for name in run.files if "partial" in name]
    again = Run(tmp_path)
    assert again.checkpoints.restore().state == state
    assert_equal(again.everything(), expected)


def test_two_checkpoints_are_kept_and_the_best_weights_that_they_need(tmp_path):
    run = Run(tmp_path)
    for step, best in ((1, None), (2, 1), (3, 2), (4, 2)):
        run.write(step, best=best)
    assert run.files == [
        "best-epoch000002.safetensors", "stage0-step000000003.safetensors", "stage0-step000000004.safetensors",
    ]  # fmt: skip
    run.write(5, best=3)
    assert [name for name in run.files if name.startswith("best")] == [
        "best-epoch000002.safetensors", "best-epoch000003.safetensors",
    ]  # fmt: skip


def test_a_later_stage_is_newer_whatever_its_step(tmp_path):
    run = Run(tmp_path)
    run.write(9, stage=0)
    run.write(10, stage=0)
    run.write(0, stage=1)
    assert run.checkpoints.newest().name == "stage1-step000000000.safetensors"
    assert run.checkpoints.restore().state.stage == 1
    assert len(run.files) == 2


def test_best_weights_that_are_on_disk_are_not_written_again(tmp_path):
    run = Run(tmp_path)
    run.write(1, best=1)
    first = (tmp_path / "best-epoch000001.safetensors").read_bytes()
    run.steps(1)
    run.write(2, best=1)
    assert (tmp_path / "best-epoch000001.safetensors").read_bytes() == first


def test_weights_that_were_copied_do_not_follow_the_model_and_can_be_put_back(tmp_path):
    run = Run(tmp_path, "batch norms", place=4)
    expected, kept = run.everything(), weights_of(run.model, run.trained)
    assert kept.keys() == run.trained | dict(run.model.named_buffers()).keys()
    run.steps(2)
    assert any(not torch.equal(value, dict(run.model.state_dict())[name]) for name, value in kept.items())
    load_weights_of(run.model, kept)
    assert all(torch.equal(run.model.state_dict()[name], expected[name]) for name in run.model.state_dict())


def test_a_flipped_bit_in_any_place_falls_back_to_the_checkpoint_before_and_is_told(tmp_path):
    run = Run(tmp_path)
    run.steps(1)
    first, expected = run.write(1, best=1), run.everything()
    run.steps(1)
    second, newer = run.write(2, best=2), run.everything()
    newest = run.checkpoints.newest()
    whole, chance = newest.read_bytes(), random.Random(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*chance.sample(range(header), 20), *chance.sample(range(header, len(whole)), 10)]
    for place in places:
        newest.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
        again, told = Run(tmp_path), []
        state = again.checkpoints.restore(emit=told.append).state
        if told:
            assert state == first and isinstance(told[0], Recovered)
            assert f"damaged  {newest} is left out" in told[0].text
            assert_equal(again.everything(), expected)
        else:  # a blank of the header
            assert state == second
            assert_equal(again.everything(), newer)


def test_flipped_bits_in_the_best_weights_fall_back_to_the_checkpoint_before(tmp_path):
    run = Run(tmp_path)
    first = run.write(1, best=1)
    run.write(2, best=2)
    best = tmp_path / "best-epoch000002.safetensors"
    best.write_bytes(best.read_bytes()[:-1] + bytes([best.read_bytes()[-1] ^ 1]))
    assert Run(tmp_path).checkpoints.restore().state == first


def test_a_checkpoint_is_not_used_when_what_belongs_to_it_is_damaged(tmp_path):
    run, told = Run(tmp_path), []
    for step in (1, 2):
        run.write(step)
    restored = run.checkpoints.restore(is_complete=lambda state: state.step < 2, emit=told.append)
    assert restored.state.step == 1 and "the validation logits of an epoch before it are damaged" in told[0].text


def test_checkpoints_of_earlier_versions_are_left_out_told_and_kept_aside(tmp_path):
    run, told = Run(tmp_path), []
    run.steps(1)
    run.write(1)
    (file,) = tmp_path.glob("*.safetensors")
    with safe_open(file, framework="pt") as opened:
        facts = {name: value for name, value in opened.metadata().items() if name not in ("check", "digests")}
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    save_file(tensors, file, facts)
    assert Run(tmp_path).checkpoints.restore(emit=told.append) is None
    assert f"damaged  {file} is left out" in told[0].text
    assert [kept.name for kept in tmp_path.iterdir()] == [f"{file.name}.damaged"]


def test_a_checkpoint_of_a_run_that_read_something_else_is_refused(tmp_path):
    run = Run(tmp_path)
    run.checkpoints = Checkpoints(tmp_path, {"model": run.model}, run.optimizer, digests={"teacher": "abc"})
    run.write(1)
    with pytest.raises(InputError) as caught:
        Run(tmp_path).checkpoints.restore()
    assert str(caught.value) == (
        f"{run.checkpoints.newest()} is of a run that read another teacher\n"
        "hint: put it back, choose another --out, or begin anew with --overwrite"
    )
    assert run.checkpoints.restore().state.step == 1
