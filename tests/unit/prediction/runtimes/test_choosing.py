import contextlib
import math
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch

from tests.conftest import picture
from tests.unit.prediction.runtimes.small_model import CPU, SMALL, batch, small_model
from vitrail.basics import devices
from vitrail.basics.errors import InputError, SystemFault
from vitrail.basics.quiet import quiet
from vitrail.prediction.runtimes import choosing
from vitrail.prediction.runtimes.agreement import Agreement
from vitrail.prediction.runtimes.choosing import choose_runtime, first_faithful
from vitrail.prediction.runtimes.comparing import Comparison, Trial
from vitrail.prediction.runtimes.known import RUNTIMES, candidates, is_installed, named_runtime
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS, Readout, Workload
from vitrail.prediction.runtimes.torch_runtime import EAGER, EXACT, TorchRuntime

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


def telling_model():
    """One whose random weights tell images apart: patches weigh more than what is added to all of them."""
    model = small_model()
    with torch.no_grad():
        model.patch_embed.proj.weight.mul_(20)
    return model


def workload(model=None, readout=FEATURES_AND_LOGITS):
    return Workload(model or small_model(), SMALL, CPU, batch(), readout)


class Found(Comparison):
    """Runtimes that were compared already."""

    def __init__(self, **agreements):
        self._agreements = {name.replace("_", " "): each for name, each in agreements.items()}

    def trial(self, runtime):
        return Trial(runtime, self._agreements.get(runtime.name, PERFECT))


def test_the_first_that_agrees_and_keeps_images_apart_is_taken():
    fast = [*EAGER[1:], EXACT]
    names = [each.name.replace(" ", "_") for each in EAGER]
    wrong, blurred, right = (
        Agreement(0.99, 0.5),
        Agreement(0.9998, 0.01, 0.14, 0.97),
        Agreement(0.9995, 0.1, 0.03, 0.98),
    )
    choice = first_faithful(Found(**{names[1]: wrong, names[2]: blurred, names[3]: right}), fast)
    assert choice.runtime == EAGER[3]
    assert choice.reason == (
        "torch bfloat16 plain attention: bfloat16, which this machine computes in; features agree (least cosine "
        "0.9995, greatest relative error 1.0e-01; off by 3.0 % of what images differ by, 98 % of neighbours kept)"
    )
    choice = first_faithful(Found(**dict.fromkeys(names[1:], blurred)), fast)
    assert choice.runtime == EXACT
    assert choice.reason == (
        "torch float32: torch bfloat16 autocast would be off by 14.0 % of what images differ by, 97 % of neighbours "
        "kept"
    )
    inexact = {"openvino_float32": Agreement(1.0, 2e-4)}  # what computes in float32 must be nearer
    assert first_faithful(Found(**inexact), [OPENVINO, EXACT]).runtime == EXACT


def nearly_alike(count=48):
    """One picture, each time with other noise of a few grey levels, and a spot in half of them."""
    base = np.asarray(SMALL.pixels(picture(3, size=(40, 40)))).astype(float)
    noise = np.random.default_rng(0).normal(0, 2, (count, *base.shape))
    noise[::2, 8:12, 8:12] += 6
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def test_images_that_are_nearly_alike_are_computed_in_float32_although_every_cosine_is_near_one(monkeypatch):
    monkeypatch.setattr(devices, "_processor_flags", lambda: frozenset({"avx512_bf16"}))
    model = small_model()
    alike = choose_runtime(Workload(model, SMALL, CPU, nearly_alike()), images=48, exact=False)
    assert alike.runtime == EXACT
    assert len(alike.trials) == 2
    for trial in alike.trials:
        assert trial.agreement.suffices(exact=False), "which was all that was asked before"
        assert trial.agreement.cosine > 0.999
        assert trial.agreement.share_of_spread > 0.05
    asked = choose_runtime(Workload(model, SMALL, CPU, nearly_alike()), asked="torch bfloat16", images=48, exact=False)
    assert asked.runtime.name == "torch bfloat16", "whoever names it gets it"
    assert "as asked for, although these images lie near each other: features are off by" in asked.reason


def test_images_that_differ_are_computed_in_bfloat16_where_the_processor_has_it(monkeypatch):
    different = Workload(telling_model(), SMALL, CPU, batch(32))
    for flags, expected in (({"avx512_bf16"}, EAGER[3]), ({"bf16"}, EAGER[3]), ({"avx512f", "avx2"}, EXACT)):
        monkeypatch.setattr(devices, "_processor_flags", lambda flags=flags: frozenset(flags))
        choice = choose_runtime(different, images=32, exact=False)
        assert choice.runtime == expected, choice.reason
    assert choice.trials == ()
    assert choice.reason == (
        "torch float32: the reference itself; nothing installed suits these images and this machine better"
    )


def test_the_choice_is_the_same_on_a_busy_machine(monkeypatch):
    monkeypatch.setattr(devices, "_processor_flags", lambda: frozenset({"avx512_bf16"}))
    work, applied = Workload(telling_model(), SMALL, CPU, batch(8)), TorchRuntime.applied
    quiet_choice = choose_runtime(work, images=8, exact=False)

    @contextlib.contextmanager
    def slow(self, *args, **more):
        with applied(self, *args, **more) as forward:
            yield lambda given: (time.sleep(0 if self.exact else 0.3), forward(given))[1]

    monkeypatch.setattr(TorchRuntime, "applied", slow)
    busy_choice = choose_runtime(work, images=8, exact=False)
    assert not busy_choice.runtime.exact
    assert busy_choice.as_json() == quiet_choice.as_json(), "nothing that a clock told is in it either"


def test_every_candidate_is_compared_and_one_that_cannot_run_says_why(monkeypatch):
    without(monkeypatch, "openvino")
    trials = [Comparison(workload()).trial(each) for each in (*EAGER, OPENVINO)]
    assert [named_runtime(trial.as_json()["runtime"]) for trial in trials] == [*EAGER, OPENVINO]
    assert trials[0].agreement == PERFECT
    assert trials[-1].as_json()["fault"].startswith("openvino is not installed: ")
    assert not trials[-1].faithful


def test_large_models_are_compared_on_fewer_images_by_counted_operations():
    work = Comparison(Workload(small_model(), SMALL, CPU, batch(40)))
    assert work.operations == pytest.approx(2 * 17 * 3 * 12 * 192**2 + 2 * 16 * 192 * 192, rel=0.1)
    assert len(work.pixels) == 32
    assert np.array_equal(work.pixels[-1], batch(40)[-1]), "from the first to the last"
    work.operations = 1e12
    assert len(Comparison(work._workload).pixels) == 32
    del work.__dict__["pixels"]
    assert len(work.pixels) == 8


def test_what_was_asked_for_and_disagrees_is_refused_with_both_figures(monkeypatch):
    monkeypatch.setattr(choosing, "Comparison", lambda _: Found(torch_bfloat16_autocast=Agreement(0.9876, 0.123)))
    with pytest.raises(InputError) as caught:
        chosen("torch bfloat16 autocast")
    assert str(caught.value) == (
        "torch bfloat16 autocast disagrees with torch float32 on these images: least cosine 0.9876, greatest relative "
        "error 1.2e-01; a cosine of 0.999 at least, and an error of 1e-01 at most, was expected\n"
        "hint: use the runtime torch for this model"
    )
    monkeypatch.setattr(choosing, "Comparison", lambda _: Found(onnx_float32=Agreement(1.0, 5e-5, 0.5, 0.8)))
    with pytest.raises(InputError) as caught:
        chosen("onnx", exact=True)
    assert str(caught.value) == (
        "onnx float32 does not tell these images apart as torch float32 does: features are off by 50.0 % of what "
        "images differ by, 80 % of neighbours kept\nhint: use the runtime torch for these images"
    )


def test_features_that_are_not_finite_never_agree():
    model = small_model()
    model.norm.weight.data[0] = float("nan")
    comparison = Comparison(workload(model))
    assert all(comparison.trial(each).agreement == Agreement(-1.0, math.inf, math.inf, 0.0) for each in EAGER)
    assert chosen("torch", model=model).runtime == EXACT


def test_logits_need_not_keep_their_direction_but_whatever_else_is_read_must():
    class ContraryInBfloat16(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) * (1 if x.dtype == torch.float32 else -1)

    model = small_model()
    model.head = ContraryInBfloat16(model.num_features, 4)
    bfloat16 = named_runtime("torch bfloat16")
    trial = Comparison(workload(model)).trial(bfloat16)
    assert trial.agreement.cosine > 0.999
    assert not trial.faithful  # for the logits' size
    both = Readout("both", FEATURES_AND_LOGITS.read)
    assert Comparison(workload(model, both)).trial(bfloat16).agreement.cosine < -0.9


@pytest.mark.skipif(not is_installed(OPENVINO), reason="openvino is not installed")
def test_another_library_is_tried_first_where_there_is_much_to_compute_and_few_images_are_not_worth_a_conversion(
    monkeypatch,
):
    monkeypatch.setattr(devices, "_processor_flags", lambda: frozenset({"avx512_bf16"}))
    monkeypatch.setattr(choosing, "Comparison", lambda work: comparing(Comparison(work).operations))

    def comparing(operations):
        found = Found()
        found.operations = operations
        return found

    each = Comparison(workload()).operations
    enough = int(choosing.WORTH_BUILDING_OPERATIONS / each) + 1
    assert chosen("auto", images=enough).runtime == OPENVINO_BFLOAT16
    assert chosen("auto", images=enough, exact=True).runtime == OPENVINO
    assert chosen("auto", images=enough - 2).runtime == EAGER[3]
    assert chosen("auto", images=enough - 2, exact=True).runtime == EXACT
    without(monkeypatch, "openvino")
    monkeypatch.setattr(choosing, "is_installed", lambda runtime: runtime.library == "torch")
    assert chosen("auto", images=enough).runtime == EAGER[3]


def test_what_is_compared_is_what_will_be_read(monkeypatch):
    monkeypatch.setattr(devices, "_processor_flags", lambda: frozenset({"avx512_bf16"}))
    shapes = []

    def first_block(model):
        return lambda batch: (model.blocks[0](model.patch_embed(batch)), shapes.append(batch.shape))[:1]

    choice = choose_runtime(
        workload(readout=Readout("first block", first_block)), asked="torch", images=10, exact=False
    )
    assert choice.trials
    assert len(shapes) > len(choice.trials)


@pytest.mark.skipif(not is_installed(OPENVINO), reason="openvino is not installed")
def test_a_library_that_was_asked_for_is_used_even_where_torch_is_faster():
    choice = chosen("openvino", images=1, exact=True)
    assert choice.runtime == OPENVINO
    assert [trial["runtime"] for trial in choice.as_json()["trials"]] == ["openvino float32"]


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


def test_counting_operations_leaves_no_warning_filter_behind_while_other_threads_are_quiet():
    inside, go_on, before = threading.Event(), threading.Event(), list(warnings.filters)

    def waiting(batch):
        inside.set()
        go_on.wait(60)
        return (batch,)

    counting = threading.Thread(
        target=lambda: Comparison(workload(readout=Readout("waiting", lambda _: waiting))).operations
    )
    counting.start()
    inside.wait(60)
    with quiet():
        go_on.set()
        counting.join()
    assert list(warnings.filters) == before
