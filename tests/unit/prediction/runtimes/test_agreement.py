import math

import pytest
import torch

from vitrail.prediction.runtimes.agreement import Agreement, agreement_of


def test_the_cosine_is_the_worst_images_and_the_error_the_worst_tensors():
    features, logits = torch.tensor([[1.0, 0.0], [3.0, 4.0]]), torch.tensor([[10.0], [-20.0]])
    answers = (torch.tensor([[1.0, 0.0], [4.0, 3.0]]), -logits)
    found = agreement_of((answers[0], logits + 1), (features, logits), features=1)
    assert found.cosine == pytest.approx(24 / 25)
    assert agreement_of(answers, (features, logits), features=1).cosine == pytest.approx(24 / 25)
    assert agreement_of(answers, (features, logits)).cosine == pytest.approx(-1)
    assert found.relative_error == pytest.approx(1 / 4)


def test_rows_of_zeros_agree_with_rows_of_zeros_and_with_nothing_else():
    zeros, ones = torch.zeros(2, 3), torch.ones(2, 3)
    assert agreement_of((zeros,), (zeros,)) == Agreement(1.0, 0.0)
    assert agreement_of((ones,), (zeros,)) == Agreement(0.0, math.inf, math.inf, 1.0)


def test_another_shape_or_something_that_is_not_finite_never_agrees():
    ones = torch.ones(2, 3)
    assert agreement_of((ones[:1],), (ones,)) == Agreement(-1.0, math.inf, math.inf, 0.0)
    assert agreement_of((ones / 0,), (ones,)) == Agreement(-1.0, math.inf, math.inf, 0.0)


def test_what_computes_in_float32_must_be_nearer_than_what_is_only_fast():
    assert Agreement(0.9995, 1e-2).suffices(exact=False)
    assert not Agreement(0.9995, 1e-2).suffices(exact=True)
    assert not Agreement(0.9995, 2e-1).suffices(exact=False)
    assert Agreement(1.0, 9e-5).suffices(exact=True)


def test_the_share_of_spread_is_the_hand_worked_one_and_a_cosine_near_one_does_not_hide_it():
    exact = torch.tensor([[1000.0, 1.0], [1000.0, -1.0]])  # a spread of 1, in the second feature alone
    found = agreement_of((exact + torch.tensor([[0.0, 0.3], [0.0, 0.3]]),), (exact,))
    assert found.share_of_spread == pytest.approx(0.3)
    assert found.cosine > 0.999_999
    assert found.suffices(exact=False)
    assert not found.keeps_apart


def test_a_feature_of_small_spread_counts_for_the_probe_as_much_as_one_of_large_spread():
    exact = torch.tensor([[100.0, 1.0], [-100.0, 1.0], [100.0, -1.0], [-100.0, -1.0]])
    found = agreement_of((exact + torch.tensor([0.0, 0.2]),), (exact,))
    assert found.share_of_spread == pytest.approx((0.2**2 / 2) ** 0.5), "not 0.002, its share of the whole spread"


def test_neighbours_are_counted_as_validation_images_meet_training_images():
    circle = torch.arange(12) * (torch.pi / 24)
    exact = torch.stack([circle.cos(), circle.sin()], dim=1)
    assert agreement_of((exact,), (exact,)).shared_neighbours == 1.0
    elsewhere = exact[torch.tensor([5, 11, 3, 9, 0, 7, 2, 10, 1, 8, 4, 6])]
    assert agreement_of((elsewhere,), (exact,)).shared_neighbours < 0.9


def test_images_that_are_all_the_same_leave_nothing_to_tell_apart_and_no_room_for_an_error():
    same = torch.ones(4, 3)
    assert agreement_of((same,), (same,)).keeps_apart
    assert agreement_of((same * 1.0001,), (same,)).share_of_spread == math.inf
    assert agreement_of((same[:1] * 1.0001,), (same[:1],)).share_of_spread == 0.0, "one image differs from nothing"
