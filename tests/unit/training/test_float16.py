"""float16 with a loss scale, on the processor, which computes it too."""

import dataclasses
import json

import pytest
import torch
from safetensors import safe_open
from torch import nn

import vitrail
from tests.unit.training.objectives.small_runs import assert_same_bytes, left_by
from tests.unit.training.small_job import CPU, pictures, prepared_job, tiny_vit, watched
from tests.unit.training.test_loop import at_step, interrupt
from vitrail.basics.errors import TrainingFault
from vitrail.training.loss_scale import FIRST_SCALE, LARGEST_SCALE, STEPS_TO_GROW, LossScale
from vitrail.training.precision import FLOAT16, FLOAT32
from vitrail.training.state import TrainingState


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), train=6, val=4)


class Steep(torch.autograd.Function):
    """The loss as it is; its gradient is infinite where the loss was multiplied by more than `most`."""

    @staticmethod
    def forward(context, loss, most):
        context.most = most
        return loss.clone()

    @staticmethod
    def backward(context, gradient):
        return torch.where(gradient.abs() > context.most, torch.inf, gradient), None


def overflowing(job, most):
    """The job in float16, its gradients overflowing as long as the loss scale is above `most`."""
    return watched(dataclasses.replace(job, precision=FLOAT16), lambda loss, *_: Steep.apply(loss, most))


WHOLE: dict = {"stages": "all", "all_epochs": 4}  # eight steps


def test_a_search_for_a_scale_longer_than_three_steps_ends_no_run_and_no_step_of_it_is_lost(images, tmp_path):
    tensors, facts = left_by(overflowing(prepared_job(tiny_vit(), images, tmp_path, **WHOLE), FIRST_SCALE / 2**5))
    state = facts["state"]
    assert (state["scale_searches"], state["skipped"], state["skipped_in_a_row"]) == (5, 0, 0)
    assert [loss is None for loss in facts["losses"]] == [True] * 5 + [False] * 3
    assert all(torch.isfinite(value).all() for value in tensors.values())


def test_while_a_scale_is_searched_for_nothing_is_changed(images, tmp_path):
    model = tiny_vit()
    job = overflowing(prepared_job(model, images, tmp_path, **WHOLE), FIRST_SCALE / 2**5)
    with pytest.raises(KeyboardInterrupt):
        left_by(job, emit=at_step(5, interrupt))
    for name, value in model.state_dict().items():
        assert torch.equal(job.chain.model.state_dict()[name], value), name


def test_a_gradient_that_is_never_finite_ends_the_run_once_the_scale_cannot_fall_further(images, tmp_path):
    job, heard = overflowing(prepared_job(tiny_vit(), images, tmp_path, stages="all", all_epochs=12), 0.0), []
    with pytest.raises(TrainingFault) as caught:
        left_by(job, emit=heard.append)
    assert "not finite in 3 steps in a row, the last of them step 19 of stage all; no weight" in str(caught.value)
    lines = [json.loads(line) for line in job.metrics.read_text().splitlines()]
    assert max(line.get("skipped", 0) for line in lines) <= 2, "16 halvings are the search"


def test_a_loss_that_is_never_finite_is_no_search_and_ends_the_run_after_three_steps(images, tmp_path):
    job = dataclasses.replace(prepared_job(tiny_vit(), images, tmp_path, **WHOLE), precision=FLOAT16)
    with pytest.raises(TrainingFault, match="in 3 steps in a row, the last of them step 3 of stage all"):
        left_by(watched(job, lambda loss, *_: loss * float("nan")))


def test_a_run_in_float16_stopped_at_any_step_and_run_again_is_the_same_byte_for_byte(images, tmp_path):
    def job(folder):
        return overflowing(prepared_job(tiny_vit(drop_path=0.4), images, folder, **WHOLE), FIRST_SCALE / 2**3)

    whole = left_by(asked := job(tmp_path / "whole"))
    assert whole[1]["state"]["scale_searches"] == 3
    with safe_open(asked.folder / "stage1-step000000000.safetensors", framework="pt") as opened:
        kept = {name: float(opened.get_tensor(f"loss scale/{name}")) for name in ("scale", "good_steps")}
    assert kept == {"scale": FIRST_SCALE / 2**3, "good_steps": 5}
    for number in (2, 4, 7):  # within the search, right behind it, later
        with pytest.raises(KeyboardInterrupt):
            left_by(job(tmp_path / f"stopped{number}"), emit=at_step(number, interrupt))
        assert_same_bytes(left_by(job(tmp_path / f"stopped{number}")), whole)


def test_float16_trains_about_as_float32_does(images, tmp_path):
    def trained(precision):
        job = prepared_job(tiny_vit(), images, tmp_path / precision.name, optimizer="sgd", **WHOLE)
        return left_by(dataclasses.replace(job, precision=precision))

    (exact, told), (half, told_half) = trained(FLOAT32), trained(FLOAT16)
    assert {value.dtype for value in half.values()} == {torch.float32}
    pairs = [(one, other) for one, other in zip(told_half["losses"], told["losses"], strict=True) if one is not None]
    assert told_half["state"]["scale_searches"] == 8 - len(pairs) <= 2, "a scale that grows too far is found again"
    assert all(one == pytest.approx(other, rel=0.02) for one, other in pairs)
    assert any(one != other for one, other in pairs)
    begin = tiny_vit().state_dict()
    moves = [torch.cat([(found[f"model {name}"] - value).flatten() for name, value in begin.items()])
             for found in (exact, half)]  # fmt: skip
    assert float(nn.functional.cosine_similarity(*moves, dim=0)) > 0.98


def test_gradients_that_float16_loses_without_a_scale_are_kept_with_one():
    small = 2.0**-27
    for scaled, expected in ((False, 0.0), (True, small)):
        parameter, scale = nn.Parameter(torch.ones(1)), LossScale(CPU)
        loss = (parameter.half() * 1.0).float().sum() * small
        scale.backward(loss) if scaled else loss.backward()
        if scaled:
            scale.unscale([parameter.grad])
        assert float(parameter.grad) == expected


class Oracle:
    """torch's own scaler beside ours, both fed with the same gradients."""

    def __init__(self):
        self.parameter = nn.Parameter(torch.ones(2))
        self.optimizer = torch.optim.SGD([self.parameter], lr=0.1)
        self.theirs = torch.amp.GradScaler("cpu", init_scale=FIRST_SCALE, growth_interval=STEPS_TO_GROW)
        self.ours = LossScale(CPU)

    def step(self, slope):
        self.optimizer.zero_grad()
        self.theirs.scale((self.parameter * slope).sum()).backward()
        self.theirs.step(self.optimizer)
        self.theirs.update()
        overflow = torch.tensor(0.0 if slope == 1.0 else 1.0)
        lost = float(self.ours.searching(overflow)) == 0
        self.ours.follow(overflow)
        return float(self.ours.scale), self.theirs.get_scale(), lost


def test_the_scale_follows_overflows_as_torchs_own_does():
    oracle = Oracle()
    pattern = [float("inf"), 1.0, float("nan"), *[1.0] * 2003, *[float("inf")] * 12]
    scales = set()
    for slope in pattern:
        ours, theirs, _ = oracle.step(slope)
        assert ours == theirs
        scales.add(ours)
    assert (max(scales), min(scales)) == (FIRST_SCALE / 2, FIRST_SCALE / 2**13) and len(scales) == 13


def test_the_scale_never_falls_below_one_and_an_overflow_there_is_a_lost_step():
    scale, overflow = LossScale(CPU), torch.ones(())
    found = []
    for _ in range(18):
        found.append(float(scale.searching(overflow)))
        scale.follow(overflow)
    assert found == [1.0] * 16 + [0.0] * 2 and float(scale.scale) == 1


def test_a_scale_that_grows_for_ever_stays_a_number_as_torchs_own_does():
    scale = LossScale(CPU)
    scale.scale.fill_(LARGEST_SCALE)
    scale.good_steps.fill_(STEPS_TO_GROW - 1)
    scale.follow(torch.zeros(()))
    assert (float(scale.scale), float(scale.good_steps)) == (LARGEST_SCALE, 0)
    theirs, tracker = torch.tensor(LARGEST_SCALE), torch.tensor(STEPS_TO_GROW - 1, dtype=torch.int32)
    torch._amp_update_scale_(theirs, tracker, torch.zeros(1), 2.0, 0.5, STEPS_TO_GROW)
    assert float(theirs) == LARGEST_SCALE
    scale.follow(torch.ones(()))
    assert float(scale.scale) == LARGEST_SCALE / 2


def test_steps_that_changed_nothing_are_told_by_why():
    told = TrainingState(skipped=2, scale_searches=5).left_out()
    assert told == [
        "2 steps were left out because their gradient was not finite.",
        "5 steps only showed that the loss scale of float16 was too large, and changed nothing.",
    ]
    assert TrainingState().left_out() == []


def test_a_fit_in_float16_trains_in_it_and_its_report_says_so(write_images, tmp_path):
    folder = write_images({"cat": 12, "dog": 12})
    settings = {"pretrained": False, "image_size": 32, "stages": "all", "all_epochs": 1, "images_per_step": 8}
    vitrail.fit(folder, model="test_vit", out=tmp_path / "run", workers=0, training_precision="float16", **settings)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert "Steps were computed in float16 autocast, scaled loss." in [
        told["text"] for told in report["sections"]["training"]["sentences"]
    ]
    assert (tmp_path / "run" / "package").is_dir()
    journal = (tmp_path / "run" / "journal.jsonl").read_text()
    assert '"precision": "float16 autocast, scaled loss"' in journal
