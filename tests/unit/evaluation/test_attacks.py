import numpy as np
import pytest
import torch

from tests.unit.models.test_package import built_model
from vitrail.basics.errors import InputError
from vitrail.evaluation.attacks import (
    Attack,
    attacked_pixels,
    fgsm,
    log_odds_against,
    pgd,
    pixel_gradients,
    without_gradient,
)
from vitrail.prediction.unit_pixels import logits_from_unit_pixels

RANDOM = np.random.default_rng(0)


def row(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def linear(weights, bias=0.0):
    """Two classes; the logit of the first is `weights · x + bias`, that of the second 0."""
    columns = torch.stack([weights, torch.zeros_like(weights)], dim=1)
    return lambda pixels: pixels.flatten(1) @ columns + torch.tensor([bias, 0.0])


def linear_set(count=200, size=12):
    """Images in the middle of the scale, so that no attack meets its ends, and a linear classifier."""
    dice = torch.Generator().manual_seed(3)
    weights = torch.randn(size, generator=dice)
    pixels = 0.4 + 0.2 * torch.rand(count, 1, 1, size, generator=dice)
    margins = pixels.flatten(1) @ weights
    logits = linear(weights, bias=0.001 - float(margins.median()))
    values = logits(pixels)
    return logits, pixels, values.argmax(dim=1), (values[:, 0] - values[:, 1]).abs(), weights


def accuracy(logits, pixels, labels):
    return float((logits(pixels).argmax(dim=1) == labels).double().mean())


def test_the_test_values_of_captum_come_out():
    """`tests/robust/test_FGSM.py` of captum: the model is 1 - relu(1 - x), the loss the negative log of one value."""

    def model(pixels):
        return 1 - torch.relu(1 - pixels.flatten(1))

    def loss(values, labels):
        return -torch.log(values.gather(1, labels[:, None])[:, 0])

    free = {"loss": loss, "bounds": (-100.0, 100.0)}
    away = Attack(0.1, step_size=0.1, **free)
    moved = attacked_pixels(model, row(2, -9, 9, 1, -3), torch.tensor([1]), away)
    assert moved.flatten().tolist() == pytest.approx([2, -8.9, 9, 1, -3])
    towards = Attack(0.2, step_size=0.2, targeted=True, **free)
    moved = attacked_pixels(model, row(9, 10, -6, -1), torch.tensor([3]), towards)
    assert moved.flatten().tolist() == pytest.approx([9, 10, -6, -1.2])
    bounded = Attack(0.2, step_size=0.2, loss=loss, bounds=(-5.0, 5.0))
    moved = attacked_pixels(model, row(5, -5, 2), torch.tensor([1]), bounded)
    assert moved.flatten().tolist() == pytest.approx([5, -4.8, 2]) and float(moved.max()) == 5


def test_a_linear_logit_falls_by_what_can_be_computed_by_hand():
    weights = torch.tensor([0.5, -2.0, 1.0])
    logits, image, label = linear(weights), torch.full((1, 1, 1, 3), 0.5), torch.tensor([0])
    before = float(logits(image)[0, 0])
    assert before - float(logits(attacked_pixels(logits, image, label, fgsm(0.1)))[0, 0]) == pytest.approx(
        0.35, abs=1e-6
    )
    by_length = attacked_pixels(logits, image, label, pgd(0.1, norm="2"))
    expected = 0.1 * float(weights.norm())
    assert before - float(logits(by_length)[0, 0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("epsilon", [0.0, 0.005, 0.02, 0.05, 0.1])
def test_robust_accuracy_of_a_linear_classifier_has_a_closed_form_which_both_attacks_reach(epsilon):
    logits, pixels, labels, margins, weights = linear_set()
    expected = float((margins > epsilon * weights.abs().sum()).double().mean())
    one = attacked_pixels(logits, pixels, labels, fgsm(epsilon))
    many = attacked_pixels(logits, pixels, labels, pgd(epsilon), seeds=range(len(pixels)))
    assert accuracy(logits, one, labels) == expected
    assert torch.equal(one, many), "with a linear model ten steps from anywhere end where one step does"
    by_length = attacked_pixels(logits, pixels, labels, pgd(epsilon, norm="2", steps=20), seeds=range(len(pixels)))
    expected = float((margins > epsilon * weights.norm()).double().mean())
    assert accuracy(logits, by_length, labels) == pytest.approx(expected, abs=0.011)


def test_accuracy_falls_with_epsilon_and_an_attack_harms_more_than_noise_of_the_same_reach():
    logits, pixels, labels, _, _ = linear_set()
    signs = 2.0 * torch.randint(0, 2, pixels.shape, generator=torch.Generator().manual_seed(4)) - 1
    before = 1.0
    for epsilon in (0.0, 0.01, 0.02, 0.05, 0.1):
        attacked = accuracy(logits, attacked_pixels(logits, pixels, labels, fgsm(epsilon)), labels)
        by_chance = accuracy(logits, pixels + epsilon * signs, labels)
        assert attacked <= before and (attacked < by_chance if epsilon else attacked == by_chance == 1)
        before = attacked


@pytest.fixture(scope="module")
def seen():
    """A small network with ImageNet's normalisation, images, and what it says of them."""
    torch.manual_seed(0)
    ready = built_model()
    shown = ready.preprocessing.model_copy(update={"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)})
    view = logits_from_unit_pixels(ready.seen_through(shown, ready.device))
    whole = RANDOM.integers(0, 256, (7, 3, 48, 48), dtype=np.uint8)
    pixels = torch.from_numpy(whole).float() / 255
    return ready, view, pixels, view(pixels).argmax(dim=1)


@pytest.mark.parametrize(
    "attack",
    [fgsm(8 / 255), pgd(8 / 255), pgd(0.3), pgd(1.5, norm="2")],
    ids=["fgsm 8/255", "pgd 8/255", "pgd 0.3", "pgd 1.5 in norm 2"],
)
def test_pixels_stay_within_0_and_1_and_near_the_image_whatever_the_normalisation(seen, attack):
    _, view, pixels, labels = seen
    moved = attacked_pixels(view, pixels, labels, attack, seeds=range(7))
    change = (moved - pixels).flatten(1)
    size = change.abs().amax(dim=1) if attack.norm == "inf" else change.norm(dim=1)
    assert float(size.max()) <= attack.epsilon + 1e-6 and float(size.min()) > attack.epsilon / 2
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1
    if attack.norm == "inf" and attack.steps == 1:  # what the model sees moves by epsilon over each channel's spread
        inner = ((pixels > 0.1) & (pixels < 0.9)).all(dim=0)
        normalised = ((moved - pixels).abs() / torch.tensor([0.229, 0.224, 0.225]).view(-1, 1, 1)).amax(dim=0)
        found = [float(normalised[channel][inner[channel]].max()) for channel in range(3)]
        assert found == pytest.approx([0.136998, 0.140056, 0.139434], abs=1e-5)


def test_an_epsilon_of_0_changes_not_a_bit(seen):
    _, view, pixels, labels = seen
    for attack in (fgsm(0.0), pgd(0.0), pgd(0.0, norm="2")):
        assert torch.equal(attacked_pixels(view, pixels, labels, attack, seeds=range(7)), pixels)


def test_the_result_is_that_of_a_plain_loop(seen):
    ready, view, pixels, labels = seen
    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    moved, epsilon, step = pixels.clone(), 4 / 255, 2.5 * 4 / 255 / 5
    for _ in range(5):
        asked = moved.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(ready.model.eval()((asked - mean) / std), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, asked)
        moved = torch.clamp(moved + step * gradient.sign(), pixels - epsilon, pixels + epsilon).clamp(0, 1)
    ours = attacked_pixels(view, pixels, labels, pgd(epsilon, steps=5))
    # Where a gradient is 0 but for rounding its sign is chance.
    assert float((ours - moved).abs().gt(1e-6).double().mean()) < 0.01
    assert torch.allclose(view(ours), view(moved), atol=0.02)


def test_an_image_is_attacked_alike_alone_and_in_a_batch_and_with_its_own_seed(seen):
    _, view, pixels, labels = seen
    attack = pgd(4 / 255, steps=3)
    together = attacked_pixels(view, pixels, labels, attack, seeds=range(10, 17))
    for number in (0, 6):
        alone = attacked_pixels(view, pixels[[number]], labels[[number]], attack, seeds=[10 + number])
        assert float((alone[0] - together[number]).abs().gt(1e-6).double().mean()) < 0.01
    again = attacked_pixels(view, pixels, labels, attack, seeds=range(10, 17))
    assert torch.equal(together, again)
    assert not torch.equal(together, attacked_pixels(view, pixels, labels, attack, seeds=range(7)))


def test_an_images_gradient_is_as_large_in_a_batch_as_alone(seen):
    """Of a mean over the batch it would be the smaller the more images there are, and other in a short last batch."""
    _, view, pixels, labels = seen
    together, _ = pixel_gradients(view, pixels, labels)
    for number in (0, 6):
        alone, _ = pixel_gradients(view, pixels[[number]], labels[[number]])
        assert torch.allclose(alone[0], together[number], rtol=1e-3, atol=1e-4 * float(alone.abs().max()))


def test_the_model_its_modes_and_gradients_and_the_pixels_are_left_as_they_were(seen):
    ready, view, pixels, labels = seen
    ready.model.train()
    frozen = [module for name, module in ready.model.named_modules() if "attn" in name]
    for module in frozen:
        module.eval()
    before = {name: tensor.clone() for name, tensor in ready.model.state_dict().items()}
    modes, kept = [module.training for module in ready.model.modules()], pixels.clone()
    attacked_pixels(view, pixels, labels, pgd(0.1), seeds=range(7))
    assert [module.training for module in ready.model.modules()] == modes
    assert all(each.grad is None and each.requires_grad for each in ready.model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in ready.model.state_dict().items())
    assert torch.equal(pixels, kept) and not pixels.requires_grad


def test_gradients_are_found_also_where_none_are_kept_and_whatever_the_precision_around(seen):
    _, view, pixels, labels = seen
    expected = attacked_pixels(view, pixels, labels, fgsm(0.1))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(attacked_pixels(view, pixels, labels, fgsm(0.1)), expected)


def test_attacks_are_the_stronger_the_more_they_know(seen):
    _, view, pixels, labels = seen
    epsilon = 0.5 / 255
    signs = 2 * torch.from_numpy(RANDOM.integers(0, 2, pixels.shape)).float() - 1
    by_chance = view((pixels + epsilon * signs).clamp(0, 1))

    def odds(moved):
        return float(log_odds_against(view(moved), labels).mean())

    one = odds(attacked_pixels(view, pixels, labels, fgsm(epsilon)))
    many = odds(attacked_pixels(view, pixels, labels, pgd(epsilon)))
    assert float(log_odds_against(by_chance, labels).mean()) < one < many


def test_the_loss_points_where_the_cross_entropy_does_and_does_not_vanish_where_the_model_is_sure(seen):
    _, view, pixels, labels = seen

    def cross_entropy(logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    ours, logits = pixel_gradients(view, pixels, labels)
    theirs, _ = pixel_gradients(view, pixels, labels, loss=cross_entropy)
    wrong = 1 - logits.softmax(dim=1).gather(1, labels[:, None])[:, 0]
    assert torch.allclose(ours * wrong[:, None, None, None], theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()))

    def sure(pixels):  # of two classes: among more, the nearest one counts ever more
        return 500 * view(pixels)[:, :2]

    assert float(pixel_gradients(sure, pixels, labels, loss=cross_entropy)[0].abs().max()) == 0
    found, _ = pixel_gradients(sure, pixels, labels)
    assert not without_gradient(found).any()
    unsure, _ = pixel_gradients(lambda pixels: view(pixels)[:, :2], pixels, labels)
    assert float((found.sign() != unsure.sign()).double().mean()) < 0.01


def test_images_without_a_usable_gradient_are_found():
    def flat(pixels):
        return pixels.flatten(1)[:, :2].round() + 0 * pixels.flatten(1)[:, :2]

    gradients, _ = pixel_gradients(flat, torch.rand(3, 1, 1, 4), torch.tensor([0, 1, 0]))
    assert without_gradient(gradients).tolist() == [True] * 3
    gradients[1, 0, 0, 2] = 1e-30
    gradients[2, 0, 0, 1] = torch.nan
    assert without_gradient(gradients).tolist() == [True, False, True]


def test_an_attack_that_may_stop_leaves_each_image_where_the_model_first_errs():
    logits, pixels, labels, margins, weights = linear_set()
    stopping = attacked_pixels(logits, pixels, labels, pgd(0.1, until_wrong=True))
    going_on = attacked_pixels(logits, pixels, labels, pgd(0.1))
    assert torch.equal(logits(stopping).argmax(1) == labels, logits(going_on).argmax(1) == labels)
    misled = logits(stopping).argmax(1) != labels
    steps = ((stopping - pixels).abs().amax(dim=(1, 2, 3)) / 0.025).round()
    needed = (margins / (0.025 * weights.abs().sum())).floor() + 1
    assert torch.equal(steps[misled], needed[misled].clamp_max(4))


def test_a_targeted_attack_leads_to_its_target():
    torch.manual_seed(1)
    net = torch.nn.Linear(12, 4)
    pixels, target = torch.full((4, 1, 1, 12), 0.5), torch.arange(4)
    moved = attacked_pixels(lambda x: net(x.flatten(1)), pixels, target, pgd(0.5, targeted=True))
    assert net(moved.flatten(1)).argmax(dim=1).tolist() == [0, 1, 2, 3]


def test_what_an_attack_cannot_go_by_is_refused():
    pixels, labels = torch.full((1, 1, 1, 3), 0.5), torch.tensor([0])
    with pytest.raises(InputError, match=r"no gradient with respect to the pixels"):
        attacked_pixels(lambda x: x.flatten(1).detach(), pixels, labels, fgsm(0.1))
    with pytest.raises(InputError, match=r"^pixels lie from -2 to 1.5, 0 to 1 was expected\nhint: give pixels on"):
        attacked_pixels(linear(torch.ones(3)), row(-2, 1, 1.5), labels, fgsm(0.1))
    with pytest.raises(InputError, match=r"^epsilon is -0.1, a number from 0 on was expected"):
        fgsm(-0.1)
    with pytest.raises(InputError, match=r"an attack of 0 steps"):
        pgd(0.1, steps=0)
