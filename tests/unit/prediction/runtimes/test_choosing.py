import math
import sys
from dataclasses import replace

import pytest
import torch

from tests.unit.prediction.runtimes.small_model import CPU, SMALL, batch, small_model
from vitrail.basics.errors import InputError, SystemFault
from vitrail.prediction.runtimes import choosing
from vitrail.prediction.runtimes.agreement import Agreement
from vitrail.prediction.runtimes.choosing import choose_runtime, fastest
from vitrail.prediction.runtimes.known import CONVERTED, RUNTIMES, candidates, is_installed, named_runtime
from vitrail.prediction.runtimes.measuring import Trial, measure_runtimes
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS, Readout, Workload
from vitrail.prediction.runtimes.torch_runtime import COMPILED, EAGER, EXACT

PERFECT = Agreement(1.0, 0.0)
OPENVINO, OPENVINO_BFLOAT16 = named_runtime("openvino float32"), named_runtime("openvino bfloat16")
NAMES = (
    "torch float32, torch bfloat16 autocast, torch bfloat16, torch bfloat16 plain attention, torch float32 compiled, "
    "openvino float32, openvino bfloat16, onnx float32"
)


def without(monkeypatch, *packages):
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)


def chosen(asked, *, images=10, exact=False, model=None):
    return choose_runtime(workload(model), asked=asked, images=images, exact=exact)


def workload(model=None, readout=FEATURES_AND_LOGITS):
    return Workload(model or small_model(), SMALL, CPU, batch(), readout)


def test_a_runtime_that_disagrees_is_never_chosen_however_fast():
    exact = Trial(EXACT, 10.0, PERFECT)
    wrong, right = Trial(EAGER[1], 1000.0, Agreement(0.99, 0.5)), Trial(EAGER[2], 30.0, Agreement(0.9995, 0.1))
    inexact = Trial(OPENVINO, 1000.0, Agreement(1.0, 2e-4))  # what computes in float32 must be nearer
    everything = [EXACT, EAGER[1], EAGER[2], OPENVINO]
    assert fastest([exact, wrong, right, inexact], everything, images=100).runtime == EAGER[2]
    assert fastest([exact, wrong, inexact], everything, images=100).runtime == EXACT


def test_preparation_must_pay_for_itself_in_the_images_there_are():
    trials = [Trial(EXACT, 10.0, PERFECT), Trial(OPENVINO, 20.0, PERFECT, preparation_seconds=5.0)]
    assert fastest(trials, [EXACT, OPENVINO], images=90).runtime == EXACT
    many = fastest(trials, [EXACT, OPENVINO], images=110)
    assert many.runtime == OPENVINO
    assert many.reason == (
        "openvino float32: 2.0 times as fast as torch float32 here (20 against 10 images/s, after 5 s of preparation), "
        "features agree (least cosine 1.0000, greatest relative error 0.0e+00)"
    )


def test_what_was_asked_for_and_disagrees_is_refused_with_both_figures():
    trials = [Trial(EXACT, 10.0, PERFECT), Trial(EAGER[1], 1000.0, Agreement(0.9876, 0.123))]
    with pytest.raises(InputError) as caught:
        fastest(trials, [EAGER[1]], images=10)
    assert str(caught.value) == (
        "torch bfloat16 autocast disagrees with torch float32 on these images: least cosine 0.9876, greatest relative "
        "error 1.2e-01; a cosine of 0.999 at least, and an error of 1e-01 at most, was expected\n"
        "hint: use the runtime torch for this model"
    )


def test_a_measurement_covers_every_candidate_and_notes_what_cannot_run(monkeypatch):
    without(monkeypatch, "openvino")
    trials = measure_runtimes(workload(), [*EAGER, OPENVINO], seconds=0.01)
    assert [named_runtime(trial.as_json()["runtime"]) for trial in trials] == [*EAGER, OPENVINO]
    assert trials[0].agreement == PERFECT
    assert all(trial.images_per_second > 0 for trial in trials[:-1])
    assert trials[-1].as_json()["fault"].startswith("openvino is not installed: ")
    assert not trials[-1].agrees
    assert trials[-1].seconds(1) == math.inf


def test_features_that_are_not_finite_never_agree():
    model = small_model()
    model.norm.weight.data[0] = float("nan")
    trials = measure_runtimes(workload(model), EAGER, seconds=0.01)
    assert all(trial.agreement == Agreement(-1.0, math.inf) for trial in trials)
    assert chosen("torch", model=model).runtime == EXACT


def test_logits_need_not_keep_their_direction_but_whatever_else_is_read_must():
    class ContraryInBfloat16(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) * (1 if x.dtype == torch.float32 else -1)

    model = small_model()
    model.head = ContraryInBfloat16(model.num_features, 4)
    bfloat16 = named_runtime("torch bfloat16")
    trial = measure_runtimes(workload(model), [EXACT, bfloat16], seconds=0.01)[1]
    assert trial.agreement.cosine > 0.999
    assert not trial.agrees  # for the logits' size
    both = Readout("both", FEATURES_AND_LOGITS.read)
    assert measure_runtimes(workload(model, both), [EXACT, bfloat16], seconds=0.01)[1].agreement.cosine < -0.9


def test_few_images_are_not_worth_converting_a_model_and_nothing_is_tried_but_torch(monkeypatch):
    choice = chosen("auto", images=10)
    assert {trial.runtime for trial in choice.trials} == set(EAGER)
    assert choice.reason.endswith("; so few images are not worth a conversion for another library") == any(
        each.exact == choice.runtime.exact for each in CONVERTED if is_installed(each)
    )
    assert [trial.runtime for trial in chosen("auto", images=10, exact=True).trials] == [EXACT]


@pytest.mark.skipif(not is_installed(OPENVINO), reason="openvino is not installed")
def test_with_many_images_other_libraries_are_tried_in_the_precision_that_is_best_in_torch(monkeypatch):
    tried = {trial.runtime for trial in chosen("auto", images=10**9, exact=True).trials}
    assert {EXACT, OPENVINO} <= tried
    assert all(runtime.exact for runtime in tried)
    assert COMPILED not in tried
    asked_for, measured = [], choosing.measure_runtimes

    def as_if_bfloat16_was_fastest(given, runtimes):
        asked_for.append(list(runtimes))
        trials = measured(given, [each for each in runtimes if each.library == "torch"], seconds=0.01)
        return [replace(trial, images_per_second=20.0 - trial.runtime.exact) for trial in trials]

    monkeypatch.setattr(choosing, "measure_runtimes", as_if_bfloat16_was_fastest)
    best = chosen("auto", images=10**9).runtime
    converted = [each for each in CONVERTED if is_installed(each) and not each.exact]
    assert not best.exact
    assert asked_for == [[*EAGER], [EXACT, best, *converted]]


def test_what_is_measured_and_compared_is_what_will_be_read():
    shapes = []

    def first_block(model):
        return lambda batch: (model.blocks[0](model.patch_embed(batch)), shapes.append(batch.shape))[:1]

    trials = choose_runtime(
        workload(readout=Readout("first block", first_block)), asked="torch", images=10, exact=False
    ).trials
    assert {trial.runtime for trial in trials} == set(EAGER)
    assert len(shapes) >= len(EAGER)


@pytest.mark.skipif(not is_installed(OPENVINO), reason="openvino is not installed")
def test_a_library_that_was_asked_for_is_used_even_where_torch_is_faster():
    choice = chosen("openvino", images=1, exact=True)
    assert choice.runtime == OPENVINO
    assert [trial["runtime"] for trial in choice.as_json()["trials"]] == ["torch float32", "openvino float32"]


@pytest.mark.parametrize(
    ("asked", "package", "extra"),
    [("openvino", "openvino", "openvino"), ("onnx float32", "onnxruntime", "onnx"), ("onnx", "onnxscript", "onnx")],
)
def test_a_runtime_that_is_not_installed_names_its_extra(asked, package, extra, monkeypatch):
    without(monkeypatch, package)
    with pytest.raises(SystemFault) as caught:
        chosen(asked)
    assert str(caught.value) == (
        f"{extra} is not installed: import of {package} halted; None in sys.modules\n"
        f"hint: pip install 'vitrail[{extra}]'"
    )
    assert candidates("auto", exact=False, device=CPU) == [
        *EAGER,
        *(each for each in RUNTIMES if each.library not in ("torch", extra) and is_installed(each)),
    ]


def test_a_name_that_is_no_runtime_is_refused_with_the_nearest_and_all():
    with pytest.raises(InputError) as caught:
        chosen("openvno")
    assert str(caught.value) == (
        "there is no runtime 'openvno': did you mean openvino, openvino float32?\n"
        f"hint: one of auto, torch, openvino, onnx, or by its full name {NAMES}"
    )


def test_other_libraries_are_for_the_processor_only():
    device = torch.device("cuda")
    assert candidates("auto", exact=False, device=device) == [*EAGER]
    with pytest.raises(InputError) as caught, OPENVINO.applied(small_model(), SMALL, device):
        pass
    assert str(caught.value) == (
        "openvino float32 runs on the processor, not on cuda\nhint: use the device cpu, or the runtime torch"
    )


@pytest.mark.skipif(not is_installed(OPENVINO), reason="openvino is not installed")
def test_bfloat16_is_refused_on_a_processor_without_it(monkeypatch):
    import openvino

    class Older:
        def get_property(self, *_):
            return ["FP32"]

    monkeypatch.setattr(openvino, "Core", Older)
    with pytest.raises(SystemFault) as caught, OPENVINO_BFLOAT16.applied(small_model(), SMALL, CPU):
        pass
    assert str(caught.value) == (
        "this processor does not compute in bfloat16, which openvino bfloat16 needs\n"
        "hint: use the runtime 'openvino float32'"
    )
