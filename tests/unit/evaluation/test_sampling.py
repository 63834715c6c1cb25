import types

import numpy as np
import torch

from tests.unit.evaluation.realistic_report import realistic_answers
from vitrail.evaluation.judged_images import JudgedImages
from vitrail.evaluation.sampling import evenly_sampled, usual_number


def test_a_sample_is_the_same_for_any_order_of_rows_and_holds_every_class_in_proportion():
    judged = realistic_answers(["ant", "bee", "wasp"], n=90)
    part = evenly_sampled(judged, 30)
    counts = np.bincount(judged.labels, minlength=3), np.bincount(part.labels, minlength=3)
    assert len(part) == 30 and np.abs(counts[0] / 3 - counts[1]).max() <= 1
    order = np.random.default_rng(0).permutation(90)
    shuffled = JudgedImages(judged.rows.take(order), judged.probabilities[order], judged.classes, "val")
    assert set(evenly_sampled(shuffled, 30).ids) == set(part.ids)
    assert evenly_sampled(judged, 90) is judged


def test_how_many_images_are_tried_depends_on_the_model_and_the_device_alone():
    def number(parameters, device="cpu"):
        model = types.SimpleNamespace(parameters=lambda: [torch.empty(parameters, device="meta")])
        predictor = types.SimpleNamespace(model=model, device=torch.device(device))
        return usual_number.__wrapped__(predictor, parameters=600_000_000, least=60, most=200)

    assert [number(parameters) for parameters in (1000, 5_500_000, 86_000_000)] == [200, 109, 60]
    assert number(86_000_000, "cuda") == 2000
