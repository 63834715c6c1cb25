"""Which images are tried where trying all would take hours: some of every class, the same ones every time."""

import numpy as np

from vitrail.evaluation.judged_images import JudgedImages
from vitrail.prediction.predictor import Predictor

_ON_ACCELERATOR = 10
"""An accelerator is given so many times as many images as a small model gets on a processor."""


def usual_number(predictor: Predictor, *, parameters: int, least: int, most: int) -> int:
    """How many images are tried where nobody said: counted, never timed, so that it is the same on a busy machine.

    Args:
        predictor: the model, and where it runs.
        parameters: how many a processor is given to go through, over all images.
        least, most: bounds on a processor.
    """
    if predictor.device.type != "cpu":
        return most * _ON_ACCELERATOR
    of_model = sum(each.numel() for each in predictor.model.parameters())
    return int(np.clip(parameters // max(of_model, 1), least, most))


def evenly_sampled(judged: JudgedImages, most: int) -> JudgedImages:
    """At most so many images, of every class about in proportion; the same ones for every model and order of rows."""
    if len(judged) <= most:
        return judged
    order = np.lexsort((np.array(judged.ids), judged.labels))
    chosen = np.zeros(len(judged), dtype=bool)
    chosen[order[np.linspace(0, len(judged) - 1, most).round().astype(int)]] = True
    return judged.where(chosen)
