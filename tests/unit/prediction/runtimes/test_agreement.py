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
    assert agreement_of((ones,), (zeros,)) == Agreement(0.0, math.inf)


def test_another_shape_or_something_that_is_not_finite_never_agrees():
    ones = torch.ones(2, 3)
    assert agreement_of((ones[:1],), (ones,)) == Agreement(-1.0, math.inf)
    assert agreement_of((ones / 0,), (ones,)) == Agreement(-1.0, math.inf)


def test_what_computes_in_float32_must_be_nearer_than_what_is_only_fast():
    assert Agreement(0.9995, 1e-2).suffices(exact=False)
    assert not Agreement(0.9995, 1e-2).suffices(exact=True)
    assert not Agreement(0.9995, 2e-1).suffices(exact=False)
    assert Agreement(1.0, 9e-5).suffices(exact=True)
