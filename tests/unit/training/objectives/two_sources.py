"""Labelled images of one place, unlabelled ones of another: their features are to look alike, image by image through
a reversed gradient (Ganin et al., arXiv:1505.07818) and as whole batches (Deep CORAL, arXiv:1607.01719)."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from vitrail.models.heads import feature_width
from vitrail.training.objectives.classification import states_of
from vitrail.training.objectives.supervised import summed_cross_entropy


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context, features, strength):
        context.strength = strength
        return features.clone()

    @staticmethod
    def backward(context, gradient):
        return -context.strength * gradient, None


def covariance(features):
    centred = features - features.mean(dim=0)
    return centred.T @ centred / (len(features) - 1)


class TwoSources:
    divisible, digests = False, {}

    def __init__(self, chain, supervised, target):
        self.supervised, self.target, self.device = supervised, target, supervised.normalise.device
        self.steps_per_epoch, self.names = supervised.steps_per_epoch, supervised.names
        self.modules = nn.ModuleDict({"domain": nn.Linear(feature_width(chain.model), 2)}).to(self.device)

    def batches(self, stage, *, first_step):
        epochs = -(-stage.epochs * self.steps_per_epoch // self.target.steps_per_epoch)
        endless = replace(stage, name=f"{stage.name}, target", epochs=epochs)
        targets = self.target.batches(endless, first_step=first_step, cache=None)
        for labelled, target in zip(self.supervised.batches(stage, first_step=first_step), targets, strict=False):
            yield {**labelled, "target": replace(target, labels=None)}

    def loss(self, chain, batches, *, at, precision):
        labelled, target = batches["labelled"], batches["target"]
        here, there = (
            states_of(chain, batch.inputs[0], self.supervised.normalise, chain.pooled,
                      trained_from=at.trained_from, precision=precision).float()
            for batch in (labelled, target)
        )  # fmt: skip
        logits = chain.run(here, chain.pooled, chain.logits)
        labels, weights = labelled.labels.to(self.device), labelled.weights.to(self.device)
        smoothing = self.supervised.label_smoothing
        loss = summed_cross_entropy(logits, labels, weights, label_smoothing=smoothing) / weights.sum()
        strength = 2 / (1 + np.exp(-10 * at.share)) - 1
        domains = torch.cat([labels.new_zeros(len(here)), labels.new_ones(len(there))])
        asked = self.modules["domain"](Reversed.apply(torch.cat([here, there]), strength))
        apart = (covariance(here) - covariance(there)).square().sum() / (4 * here.shape[1] ** 2)
        return loss + nn.functional.cross_entropy(asked, domains) + apart, {}

    def after_step(self, chain, gathered, *, at, applied):
        pass

    def judged(self, chain):
        return chain

    def judge(self, chain, held_out, *, cache=None):
        return self.supervised.judge(chain, held_out, cache=cache)
