import threading

import numpy as np
import pytest
import torch

import vitrail
from tests.unit.models.test_package import built_model, contents
from vitrail.basics.errors import InputError
from vitrail.models.inputs import Pixels
from vitrail.models.package import write_package
from vitrail.prediction.runtimes.runtime import FEATURES_AND_LOGITS
from vitrail.prediction.runtimes.torch_runtime import EXACT
from vitrail.prediction.unit_pixels import logits_from_unit_pixels

WHOLE = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)


def unit(pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("family", ["vit", "distilled deit", "resnet"])
def test_pixels_from_0_to_1_have_the_logits_of_the_predictor_bit_for_bit(family):
    ready = built_model(family)
    shown = ready.preprocessing
    whole = np.random.default_rng(0).integers(0, 256, (2, shown.height, shown.width, 3), dtype=np.uint8)
    ready.model.train()
    with EXACT.applied(ready.model, shown, ready.device, readout=FEATURES_AND_LOGITS) as forward:
        exact = forward(Pixels(whole))[1]
    view = logits_from_unit_pixels(ready)
    assert torch.equal(view(unit(whole)), exact)
    assert torch.equal(view(unit(whole).requires_grad_()).detach(), exact)
    assert ready.model.training, "in the mode that it was in"


def test_black_and_white_become_the_published_ends_of_imagenets_normalised_scale():
    """Between these an attack may move: kept within 0 and 1 behind the normalisation it had 22 % of the scale."""
    ready = built_model()
    ready = ready.seen_through(
        ready.preprocessing.model_copy(update={"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}),
        ready.device,
    )
    taken = []
    with ready.model.register_forward_pre_hook(lambda _, given: taken.append(given[0])):
        logits_from_unit_pixels(ready)(torch.stack([torch.zeros(3, 48, 48), torch.ones(3, 48, 48)]))
    black, white = taken[0][:, :, 0, 0].tolist()
    assert black == pytest.approx([-2.117904, -2.035714, -1.804444], abs=1e-6)
    assert white == pytest.approx([2.248908, 2.428571, 2.64], abs=1e-6)


def test_gradients_are_those_of_autograd_by_hand_and_reach_no_parameter():
    ready = built_model()
    pixels = unit(WHOLE).requires_grad_()
    view = logits_from_unit_pixels(ready)
    view(pixels)[:, 1].sum().backward()
    assert all(each.grad is None and each.requires_grad for each in ready.model.parameters())
    shown = ready.preprocessing
    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (shown.mean, shown.std))
    by_hand = unit(WHOLE).requires_grad_()
    ready.model.eval()((by_hand - mean) / std)[:, 1].sum().backward()
    assert torch.equal(pixels.grad, by_hand.grad)
    assert pixels.grad.abs().max() > 0


def test_the_gradient_is_the_slope_that_differences_show():
    view = logits_from_unit_pixels(built_model())
    pixels = unit(WHOLE[:1]).requires_grad_()
    (slope,) = torch.autograd.grad(view(pixels)[0, 0], pixels)
    along = slope / slope.norm()
    there, back = view((pixels + 0.05 * along).detach()), view((pixels - 0.05 * along).detach())
    assert float(there[0, 0] - back[0, 0]) / 0.1 == pytest.approx(float(slope.norm()), rel=0.05)


def test_the_weights_are_the_models_own_and_are_seen_when_they_change():
    ready = built_model()
    view, before = logits_from_unit_pixels(ready), unit(WHOLE)
    first = view(before)
    with torch.no_grad():
        ready.model.head.bias += 1
    assert torch.allclose(view(before), first + 1, atol=1e-5)


def test_a_view_on_another_device_moves_neither_the_model_nor_its_modes():
    ready = built_model()
    ready.model.train()
    elsewhere = ready.seen_through(ready.preprocessing, torch.device("meta"))
    pixels = unit(WHOLE).requires_grad_()
    logits = logits_from_unit_pixels(elsewhere)(pixels)
    assert (logits.device.type, logits.shape, logits.requires_grad) == ("meta", (2, 3), True)
    assert {each.device.type for each in ready.model.state_dict().values()} == {"cpu"}
    assert all(module.training for module in ready.model.modules())
    assert all(each.requires_grad for each in ready.model.parameters())


def test_a_package_is_looked_at_while_it_predicts_in_other_threads(tmp_path):
    write_package(tmp_path / "package", built_model(), contents=contents())
    predictor = vitrail.load(tmp_path / "package", device="cpu").prepare()
    expected, view = predictor.answers_of(WHOLE), predictor.logits_from_unit_pixels()
    threads, found = [], []

    def attack():
        pixels = unit(WHOLE).requires_grad_()
        logits = view(pixels)
        logits.sum().backward()
        found.append((logits.detach().numpy().tobytes(), pixels.grad.numpy().tobytes()))

    for ask in (attack, lambda: found.append(predictor.answers_of(WHOLE).logits.tobytes())) * 3:
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert {each if isinstance(each, bytes) else each[0] for each in found} == {expected.logits.tobytes()}
    assert len({each[1] for each in found if isinstance(each, tuple)}) == 1


def test_whole_numbers_are_refused_and_doubles_taken():
    ready = built_model()
    view = logits_from_unit_pixels(ready)
    assert torch.equal(view(unit(WHOLE).double()), view(unit(WHOLE)))
    # the shape checks of these tests would find it first
    with pytest.raises(InputError, match=r"^pixels are torch.uint8, floating-point numbers from 0 to 1 were expected"):
        view.__wrapped__(torch.from_numpy(WHOLE).permute(0, 3, 1, 2))
