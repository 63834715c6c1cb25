"""Small training jobs with the objectives of this folder, and what they leave."""

import dataclasses
import json

import numpy as np
import torch

from tests.unit.training.objectives.averaged_teacher import AveragedTeacher
from tests.unit.training.objectives.two_sources import TwoSources
from tests.unit.training.small_job import CPU, PIXELS, Pictures, prepared_job, tiny_vit, training_images
from vitrail.data.preprocessing import Preprocessing
from vitrail.prediction.normalise import Normalise
from vitrail.training.job import TrainingJob
from vitrail.training.loop import train
from vitrail.training.stages import CLASSIFICATION, Stage
from vitrail.training.validation import Validation

NORMALISE = Normalise(Preprocessing(height=PIXELS, width=PIXELS, crop_fraction=1.0), CPU)


def vit(*, drop_path=0.4):
    """A ViT that takes pictures of any size, and draws by lot."""
    return tiny_vit(drop_path=drop_path, dynamic_img_size=True)


def stages(objective, *, epochs=(1, 1), **changed):
    """First what stands behind the second block, then everything."""
    shares = {"blocks": 0, "views": None, "cached": False, "objective": objective, **changed}
    return tuple(
        Stage(name, count, 1e-2, cut, **shares) for name, cut, count in zip(("top", "all"), (3, 0), epochs, strict=True)
    )


def averaged_teacher(chain, images: Pictures) -> AveragedTeacher:
    """It trains on six pictures, three in a step."""
    torch.manual_seed(1)
    pixels = np.concatenate([*Validation(images.train, images.preprocessing, 4, 0).pixels()])
    return AveragedTeacher(chain, pixels, NORMALISE, per_step=3)


def two_sources(chain, images: Pictures, supervised) -> TwoSources:
    """Labelled are the training pictures; the others, of which there are fewer, those of validation."""
    torch.manual_seed(1)
    others = dataclasses.replace(images, train=images.val)
    return TwoSources(chain, supervised, training_images(others, per_step=2))


def job_of(name: str, images: Pictures, folder, *, model=None, epochs=(1, 1), journal=None, **changed) -> TrainingJob:
    """A job of two stages with one of the objectives."""
    job = prepared_job(vit() if model is None else model, images, folder, journal=journal, **changed)
    supervised = job.objectives[CLASSIFICATION]
    objective = {
        "averaged teacher": lambda: averaged_teacher(job.chain, images),
        "two sources": lambda: two_sources(job.chain, images, supervised),
        CLASSIFICATION: lambda: supervised,
    }[name]()
    given = stages(name, epochs=epochs)
    return dataclasses.replace(job, stages=given, objectives={name: objective}, keep_logits=name != "averaged teacher")


class Around:
    """Any objective, each of its losses handed to `around(loss, batches, at)` before it is used."""

    def __init__(self, objective, around):
        self.objective, self.around = objective, around

    def __getattr__(self, name):
        return getattr(self.objective, name)

    def loss(self, chain, batches, *, at, precision):
        loss, gathered = self.objective.loss(chain, batches, at=at, precision=precision)
        return self.around(loss, batches, at), gathered


def around(job: TrainingJob, action) -> TrainingJob:
    """The job, the losses of all its objectives handed to `action`."""
    return dataclasses.replace(job, objectives={name: Around(each, action) for name, each in job.objectives.items()})


def left_by(job: TrainingJob, **kwargs):
    """Run or continue a job: every tensor it leaves, and every figure."""
    trained = train(job, **kwargs)
    tensors = {f"model {name}": value for name, value in job.chain.model.state_dict().items()}
    tensors |= {f"best {name}": value for name, value in trained.best.items()}
    for owner, objective in job.objectives.items():
        tensors |= {f"{owner} {name}": value for name, value in objective.modules.state_dict().items()}
    lines = [json.loads(line) for line in job.metrics.read_text().splitlines()]
    losses = [loss for line in lines if line["kind"] == "steps" for loss in line["losses"]]
    state = dataclasses.replace(trained.state, seconds=0.0, spent={})
    facts = {"losses": losses, "state": state.as_json(), "changed": trained.changed,
             "epochs": [line for line in lines if line["kind"] == "epoch"]}  # fmt: skip
    return {name: value.clone() for name, value in tensors.items()}, facts


def assert_same_bytes(found, expected):
    assert found[1] == expected[1]
    assert found[0].keys() == expected[0].keys()
    assert not [name for name, value in expected[0].items() if not torch.equal(found[0][name], value)]
