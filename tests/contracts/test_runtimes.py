"""One promise for every runtime: what torch says in float32, for any number of images and threads, prepared once."""

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from tests.conftest import picture
from tests.processes import running
from vitrail.basics.errors import InputError, SystemFault
from vitrail.data.preprocessing import Preprocessing
from vitrail.features.node_requests import parse_nodes
from vitrail.features.readout import readout_of
from vitrail.models.chain import Chain
from vitrail.models.inputs import Pixels, States
from vitrail.prediction.runtimes import cache as runtime_cache
from vitrail.prediction.runtimes.agreement import agreement_of
from vitrail.prediction.runtimes.converted import ConvertedRuntime
from vitrail.prediction.runtimes.known import CONVERTED, is_installed
from vitrail.prediction.runtimes.openvino_library import OpenVINO
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS, Readout
from vitrail.prediction.runtimes.torch_runtime import COMPILED, EAGER, EXACT

CPU = torch.device("cpu")
SMALL_SWIN = {"img_size": 64, "embed_dim": 24, "depths": (2, 1), "num_heads": (2, 4)}
FAMILIES = {
    "vit": ("vit_tiny_patch16_224", {"img_size": 48, "depth": 2}, 48),
    "distilled deit": ("deit_tiny_distilled_patch16_224", {"img_size": 48, "depth": 2}, 48),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 64, "embed_dim": 24, "depths": (2, 1), "num_heads": (2, 4)},
        64,
    ),
    "pvt v2": ("pvt_v2_b0", {"depths": (1, 1, 1, 1)}, 64),
    "convnext": ("convnext_atto", {"depths": (1, 1, 1, 1)}, 64),
    "resnet": ("resnet10t", {}, 48),
    "vit with a position table of any size": ("test_vit2", {"img_size": 64}, 64),
}


def usable(runtime):
    if not is_installed(runtime):
        return False
    try:
        with runtime.applied(nn.Linear(1, 1), Preprocessing(height=8, width=8), CPU):
            return True
    except SystemFault:  # a processor without bfloat16
        return False


INSTALLED = [runtime for runtime in CONVERTED if usable(runtime)]
EVERY = [*EAGER[1:], *INSTALLED]


def built(family: str) -> nn.Module:
    name, arguments, _ = FAMILIES[family]
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5, **arguments)
    for parameter in model.parameters():  # parts that begin as zero would hide a wrong conversion
        nn.init.normal_(parameter, std=0.05)
    return model


def shown(family: str) -> Preprocessing:
    size = FAMILIES[family][2]
    return Preprocessing(height=size, width=size, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


def batch(family: str, count: int) -> np.ndarray:
    return np.stack([shown(family).pixels(picture(seed, size=(70, 70))) for seed in range(count)])


def exact_answers(model, family, pixels, readout=FEATURES_AND_LOGITS):
    with EXACT.applied(model, shown(family), CPU, readout=readout) as forward:
        return forward(Pixels(pixels))


@pytest.mark.parametrize("runtime", EVERY, ids=lambda each: each.name)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_runtime_agrees_with_torch_for_any_number_of_images_and_leaves_the_model_as_it_was(runtime, family):
    model, pixels = built(family), batch(family, 5)
    model.train()
    frozen = next(module for module in model.modules() if not list(module.children()))
    frozen.eval()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain = [repr(sorted(vars(module))) for module in model.modules()]
    exact = exact_answers(model, family, pixels)
    with runtime.applied(model, shown(family), CPU) as forward:
        for part in (pixels, pixels[:1], pixels[:3]):
            answers = forward(Pixels(part))
            assert [each.dtype for each in answers] == [torch.float32] * 2
            found = agreement_of(answers, tuple(each[: len(part)] for each in exact))
            assert found.suffices(exact=runtime.exact), found.text()
    assert model.training
    assert not frozen.training
    assert [repr(sorted(vars(module))) for module in model.modules()] == plain
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("runtime", [EXACT, *EVERY], ids=lambda each: each.name)
def test_several_threads_at_once_get_what_one_gets(runtime):
    model, pixels = built("vit"), [Pixels(batch("vit", 6)[start : start + 3]) for start in (0, 1, 2, 3)] * 3
    with runtime.applied(model, shown("vit"), CPU, callers=3) as forward, ThreadPoolExecutor(3) as pool:
        together = list(pool.map(forward, pixels))
    with runtime.applied(model, shown("vit"), CPU, callers=3) as forward:
        alone = [forward(each) for each in pixels]
    for one, other in zip(together, alone, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("runtime", INSTALLED, ids=lambda each: each.name)
def test_any_readout_can_be_asked_for_and_an_inner_state_can_be_given(runtime):
    model = built("vit")
    chain = Chain(model)
    pixels = batch("vit", 3)
    cut = Readout("states at 2", lambda model: lambda batch: (Chain(model).run(batch, 0, 2),))
    rest = Readout("from 2 to the end", lambda model: lambda batch: (Chain(model).run(batch, 2, chain.logits),))
    (states,) = exact_answers(model, "vit", pixels, cut)
    with runtime.applied(model, shown("vit"), CPU, readout=cut) as forward:
        assert agreement_of(forward(Pixels(pixels)), (states,)).suffices(exact=runtime.exact)
    with runtime.applied(model, shown("vit"), CPU, readout=rest) as forward:
        expected = exact_answers(model, "vit", pixels)[1:]
        assert agreement_of(forward(States(states.bfloat16().float(), 2)), expected).cosine > 0.999


@pytest.mark.parametrize("runtime", INSTALLED, ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("family", "nodes"),
    [("vit", "blocks.0=cls,blocks.1.attn=mean,pooled"), ("vit", "blocks.0=mean"), ("swin", "layers.1=map")],
)
def test_nodes_of_a_store_are_read_by_every_runtime_for_any_number_of_images(runtime, family, nodes):
    model, pixels, readout = built(family).eval(), batch(family, 5), readout_of(parse_nodes(nodes))
    exact = exact_answers(model, family, pixels, readout)
    with runtime.applied(model, shown(family), CPU, readout=readout) as forward:
        for count in (5, 1):
            expected = tuple(each[:count] for each in exact)
            found = agreement_of(forward(Pixels(pixels[:count])), expected)
            assert found.suffices(exact=runtime.exact), found.text()


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "own"))
    return tmp_path / "own" / "runtimes"


def answered(runtime, model, pixels, family="vit"):
    with runtime.applied(model, shown(family), CPU) as forward:
        return forward(Pixels(pixels))


def built_times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for each in folder.iterdir() for path in each.glob("model*")}


@pytest.mark.parametrize("runtime", INSTALLED, ids=lambda each: each.name)
def test_a_model_is_converted_once_and_again_only_when_something_in_it_changed(runtime, own_cache):
    model, pixels = built("vit"), batch("vit", 2)
    answered(runtime, model, pixels)
    first = built_times(own_cache)
    answered(runtime, built("vit"), pixels)
    assert built_times(own_cache) == first
    with torch.no_grad():
        model.head.bias[0] += 1
    logits = answered(runtime, model, pixels)[1]
    assert len(list(own_cache.iterdir())) == 2
    assert torch.allclose(logits, exact_answers(model, "vit", pixels)[1], rtol=0.02, atol=0.02)
    for block in model.blocks:
        block.attn.scale *= 2  # no weight says so
    answered(runtime, model, pixels)
    assert len(list(own_cache.iterdir())) == 3


@pytest.mark.parametrize("runtime", INSTALLED[:1], ids=lambda each: each.name)
def test_images_of_another_size_or_normalisation_are_answered_too(runtime, own_cache):
    model, usual = built("resnet"), shown("resnet")
    for preprocessing in (
        usual,
        usual.model_copy(update={"height": 64}),
        usual.model_copy(update={"mean": (0.0,) * 3}),
    ):
        pixels = np.stack([preprocessing.pixels(picture(seed, size=(70, 70))) for seed in range(2)])
        with runtime.applied(model, preprocessing, CPU) as forward:
            answers = forward(Pixels(pixels))
        with EXACT.applied(model, preprocessing, CPU) as forward:
            assert agreement_of(answers, forward(Pixels(pixels))).suffices(exact=runtime.exact)
    assert len(list(own_cache.iterdir())) == 3


@pytest.mark.parametrize("runtime", INSTALLED[:1], ids=lambda each: each.name)
@pytest.mark.parametrize("damage", ["a byte changed", "a file gone", "contents unreadable", "an empty folder"])
def test_a_damaged_conversion_is_made_again(runtime, damage, own_cache):
    model, pixels = built("resnet"), batch("resnet", 2)
    before = answered(runtime, model, pixels, "resnet")
    (folder,) = own_cache.iterdir()
    largest = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    if damage == "a byte changed":
        content = bytearray(largest.read_bytes())
        content[len(content) // 2] ^= 255
        largest.unlink()  # another file: the old one may still be mapped
        largest.write_bytes(content)
    elif damage == "a file gone":
        largest.unlink()
    elif damage == "contents unreadable":
        (folder / runtime_cache.CONTENTS).write_text("{")
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    after = answered(runtime, model, pixels, "resnet")
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert [path.name for path in own_cache.iterdir()] == [folder.name]


@pytest.mark.skipif(not INSTALLED, reason="no other library is installed")
def test_two_that_convert_the_same_model_at_once_do_not_disturb_each_other(own_cache):
    model, pixels = built("resnet"), batch("resnet", 2)
    started = threading.Barrier(2)

    def ask():
        started.wait()
        return answered(INSTALLED[0], model.eval(), pixels, "resnet")

    with ThreadPoolExecutor(2) as pool:
        one, other = [each.result() for each in [pool.submit(ask) for _ in range(2)]]
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    assert len(list(own_cache.iterdir())) == 1


@pytest.mark.parametrize("runtime", INSTALLED, ids=lambda each: each.name)
def test_a_converted_model_that_is_not_this_model_is_refused_with_both_figures(runtime, own_cache):
    model, pixels = built("vit"), batch("vit", 3)
    answered(runtime, model, pixels)
    (place,) = own_cache.iterdir()
    kept = {path.name: path.read_bytes() for path in place.iterdir()}
    shutil.rmtree(place)
    other = built("vit")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.neg_()
    answered(runtime, other, pixels)
    (wrong,) = own_cache.iterdir()
    for name, content in kept.items():
        (wrong / name).unlink(missing_ok=True)
        (wrong / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        answered(runtime, other, pixels)
    fast = "a cosine of 0.999 at least, and an error of 1e-01 at most,"
    limit = "an error of 1e-04 at most" if runtime.exact else fast
    text = str(caught.value)
    assert text.startswith(f"{runtime.name} disagrees with torch float32 on these images: least cosine ")
    assert ", greatest relative error " in text
    assert text.endswith(f"; {limit} was expected\nhint: use the runtime torch for this model")


@pytest.mark.parametrize("runtime", INSTALLED, ids=lambda each: each.name)
def test_a_model_that_cannot_be_converted_is_refused_by_name(runtime):
    class Capricious(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, images):
            return self.weight * torch.linalg.svd(images.mean(1))[0]

    whole = Readout("all of it", lambda model: lambda images: (model(images).flatten(1),))
    with (
        runtime.applied(Capricious(), shown("vit"), CPU, readout=whole) as forward,
        pytest.raises(InputError) as caught,
    ):
        forward(Pixels(batch("vit", 3)))
    assert str(caught.value).startswith(f"{runtime.library} cannot run Capricious: ")
    assert "linalg_svd" in str(caught.value)
    assert str(caught.value).endswith("\nhint: use the runtime torch for this model")


@pytest.mark.skipif(ConvertedRuntime(OpenVINO(), "float32") not in INSTALLED, reason="openvino is not installed")
def test_converting_with_openvino_reports_to_nobody(own_cache, monkeypatch):
    openvino_telemetry = pytest.importorskip("openvino_telemetry")

    def report(*_, **__):
        raise AssertionError("something was reported")

    monkeypatch.setattr(openvino_telemetry.Telemetry, "init", report)
    monkeypatch.setattr(openvino_telemetry.Telemetry, "send_event", report)
    answered(ConvertedRuntime(OpenVINO(), "float32"), built("resnet"), batch("resnet", 2), "resnet")
    assert len(list(own_cache.iterdir())) == 1


def test_what_was_not_used_for_longest_is_removed_when_there_is_no_room(own_cache, monkeypatch):
    def write(place):
        (place / "model.bin").write_bytes(b"0" * 600)

    monkeypatch.setattr(runtime_cache, "MOST_BYTES", 2000)
    abandoned = own_cache / ".dead.1.2.partial"
    abandoned.mkdir(parents=True)
    os.utime(abandoned, (1, 1))
    first, second = runtime_cache.cached({"number": 1}, write), runtime_cache.cached({"number": 2}, write)
    for place, age in ((first, 10), (second, 20)):
        os.utime(place / runtime_cache.CONTENTS, (time.time() - age,) * 2)
    third = runtime_cache.cached({"number": 3}, write)
    assert set(own_cache.iterdir()) == {first, third}


def compiled_torch_agrees() -> None:
    torch.manual_seed(0)
    shape = {"img_size": 32, "depth": 1, "embed_dim": 24, "num_heads": 2}
    model, small = timm.create_model("vit_tiny_patch16_224", num_classes=3, **shape), Preprocessing(height=32, width=32)
    pixels = np.stack([small.pixels(picture(seed, size=(70, 70))) for seed in range(3)])
    with COMPILED.applied(model, small, CPU) as forward, EXACT.applied(model, small, CPU) as exact:
        for part in (pixels, pixels[:2]):
            assert agreement_of(forward(Pixels(part)), exact(Pixels(part))).suffices(exact=True)


@pytest.mark.slow
def test_a_compiled_torch_agrees_too(tmp_path):
    # In a process of its own, because the shape checks of these tests are not for the compiler.
    # Its kernels are few: more processes that compile cost more than they save.
    alone = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    with running(compiled_torch_agrees, printed=tmp_path / "printed", environment=alone) as process:
        assert process.wait() == 0, (tmp_path / "printed").read_text()
