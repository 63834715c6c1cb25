import pytest
import torch

from vitrail.features.attention.rollout import relevance, rollout

ONE = torch.tensor([[[0.5, 0.5], [0.25, 0.75]]], dtype=torch.float64)
TWO = torch.tensor([[[0.2, 0.8], [0.6, 0.4]]], dtype=torch.float64)
GRADIENT = torch.tensor([[[[1.0, -1.0], [2.0, 0.5]]]], dtype=torch.float64)


def _random(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(dim=-1)


def test_rollout_of_the_worked_example():
    torch.testing.assert_close(rollout([ONE, TWO])[0], torch.tensor([[0.5, 0.5], [0.3125, 0.6875]]).double())


def test_relevance_of_the_worked_example():
    found = relevance([ONE[None], TWO[None]], [GRADIENT, GRADIENT])
    torch.testing.assert_close(found[0], torch.tensor([[1.8, 0.0], [2.4, 1.65]]).double())


def test_who_only_looks_at_itself_rolls_out_to_itself():
    identity = torch.eye(5).expand(2, 5, 5)
    assert torch.equal(rollout([identity] * 3), identity)


def test_rows_of_a_rollout_sum_to_one_for_every_image():
    torch.testing.assert_close(rollout(list(_random(4, 3, 6, 6))).sum(-1), torch.ones(3, 6).double())


@pytest.mark.parametrize("kind", ["rollout", "relevance"])
def test_images_do_not_mix(kind):
    weights, gradients = _random(2, 3, 4, 5, 5), _random(2, 3, 4, 5, 5) - 0.2

    def of(images):
        if kind == "rollout":
            return rollout([layer[images].mean(1) for layer in weights])
        return relevance([layer[images] for layer in weights], [layer[images] for layer in gradients])

    together = of(slice(None))
    for number in range(3):
        torch.testing.assert_close(together[number], of(slice(number, number + 1))[0])


def test_heads_are_averaged_behind_their_gradients():
    weights, gradients = _random(1, 1, 2, 3, 3)[0], torch.ones(1, 2, 3, 3).double()
    gradients[0, 1] = -1
    torch.testing.assert_close(relevance([weights], [gradients])[0], torch.eye(3).double() + weights[0, 0] / 2)


def test_one_row_is_the_row_of_the_whole():
    weights, row = list(_random(3, 2, 5, 5)), torch.eye(5)[1:2].double()
    torch.testing.assert_close(rollout(weights, row)[:, 0], rollout(weights)[:, 1])
    heads, gradients = [each[:, None] for each in weights], [each[:, None] - 0.2 for each in weights]
    torch.testing.assert_close(relevance(heads, gradients, row)[:, 0], relevance(heads, gradients)[:, 1])
