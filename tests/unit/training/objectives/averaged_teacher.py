"""A student agrees with an averaged copy of itself that sees other crops, after DINO (arXiv:2104.14294)."""

import copy

import numpy as np
import torch
from torch import nn

from vitrail.basics.seeds import derived_seed
from vitrail.models.chain import Chain
from vitrail.models.heads import feature_width
from vitrail.models.inputs import States
from vitrail.models.modes import in_modes
from vitrail.training.batch import Batch
from vitrail.training.formula_views import FormulaViewSettings, formula_views
from vitrail.training.objectives.classification import states_of
from vitrail.training.objectives.objective import Judgement
from vitrail.training.validation import exact_states

LARGE, SIZES = 2, (16, 16, 8, 8, 8)
SHARP, SOFT, NEAR, KEPT, CENTRE_KEPT = 0.5, 1.0, 0.1, 0.9, 0.9


class AveragedTeacher:
    divisible, digests = True, {}

    def __init__(self, chain, pixels, normalise, *, per_step=4, prototypes=6, seed=0):
        self.pixels, self.normalise, self.per_step, self.seed = pixels, normalise, per_step, seed
        self.steps_per_epoch = len(pixels) // per_step
        self.modules = nn.ModuleDict({"head": nn.Linear(feature_width(chain.model), prototypes, bias=False)})
        average = nn.ModuleDict({"model": chain.model, "head": self.modules["head"]})
        self.modules["average"] = copy.deepcopy(average).requires_grad_(False)
        self.modules.register_buffer("centre", torch.zeros(prototypes))
        self.modules.to(normalise.device)
        self.teacher = Chain(self.modules["average"]["model"])

    def batches(self, stage, *, first_step):
        for step in range(first_step, stage.epochs * self.steps_per_epoch):
            seeds = [derived_seed(self.seed, stage.name, step, number) for number in range(len(SIZES) + 1)]
            rows = np.random.default_rng(seeds[-1]).permutation(len(self.pixels))[: self.per_step]
            shown = torch.from_numpy(self.pixels[rows])
            views = [formula_views(shown, FormulaViewSettings(), size=size, seed=seed)
                     for size, seed in zip(SIZES, seeds, strict=False)]  # fmt: skip
            yield {"unlabelled": Batch(tuple(States(2 * view - 1, 0) for view in views), rows, torch.ones(len(rows)))}

    def names(self, stage, step):
        return [f"image {row}" for row in next(self.batches(stage, first_step=step))["unlabelled"].rows]

    def loss(self, chain, batches, *, at, precision):
        batch, own, average = batches["unlabelled"], self.modules["head"], self.modules["average"]
        with torch.no_grad(), in_modes(dict.fromkeys(average.modules(), False)):
            raw = [average["head"](self._pooled(self.teacher, view, at, precision)) for view in batch.inputs[:LARGE]]
            targets = [torch.softmax((each - self.modules.centre) / SHARP, dim=1) for each in raw]
        said = [own(self._pooled(chain, view, at, precision)) for view in batch.inputs]
        pairs = [-(target * torch.log_softmax(answer / SOFT, dim=1)).sum(dim=1)
                 for i, target in enumerate(targets) for j, answer in enumerate(said) if i != j]  # fmt: skip
        weights, whole = (each.to(self.normalise.device) for each in (batch.weights, batch.total_weight))
        left = {"answers": sum(raw).sum(dim=0), "count": weights.new_tensor(len(targets) * len(batch))}
        return (torch.stack(pairs).mean(dim=0) * weights).sum() / whole, left

    def _pooled(self, chain, view, at, precision):
        cut = {"trained_from": at.trained_from, "precision": precision}
        return nn.functional.normalize(states_of(chain, view, self.normalise, chain.pooled, **cut).float(), dim=1)

    def after_step(self, chain, gathered, *, at, applied):
        now = CENTRE_KEPT * self.modules.centre + (1 - CENTRE_KEPT) * gathered["answers"] / gathered["count"]
        self.modules.centre.copy_(torch.where(applied.bool(), now, self.modules.centre))
        student = nn.ModuleDict({"model": chain.model, "head": self.modules["head"]})
        for mean, value in zip(self.modules["average"].parameters(), student.parameters(), strict=True):
            mean.lerp_(value, (1 - KEPT) * applied)

    def judged(self, chain):
        return self.teacher

    def judge(self, chain, held_out, *, cache=None):
        features = torch.from_numpy(exact_states(chain, held_out, self.normalise.device, chain.pooled, cache=cache))
        labels, near = torch.from_numpy(held_out.labels), nn.functional.normalize(features.double(), dim=1)
        shares = torch.softmax((near @ near.T / NEAR).fill_diagonal_(-torch.inf), dim=1)
        loss = -float((shares * (labels[:, None] == labels)).sum(dim=1).log().mean())
        return Judgement(loss, loss, {"neighbour_loss": loss, "n": len(labels)})
