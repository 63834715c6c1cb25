"""The images of one step, and what travels with them."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from vitrail.models.inputs import Inputs

Batches = Mapping[str, "Batch"]
"""What a step is made of, by source: `labelled`, `target`, `memory`, …"""


@dataclass(frozen=True)
class Batch:
    """Images of one source in one step.

    Attributes:
        inputs: one view of every image, or several, each a batch of its own; views may differ in size.
        rows: which images of the source these are.
        weights: how much each image counts.
        labels: class numbers, or every class's share; None where there are none.
        view_numbers: which view of its image each is; None where views are not counted.
        beside: what travels with an image, by name: a teacher's or remembered logits, domain, group; rows as above.
        step_weight: sum of the weights of the whole step, where this is a part of it.
    """

    inputs: tuple[Inputs, ...]
    rows: Int[np.ndarray, "B"]
    weights: Float[Tensor, "B"]
    labels: Int[Tensor, "B"] | Float[Tensor, "B K"] | None = None
    view_numbers: Int[np.ndarray, "B"] | None = None
    beside: Mapping[str, Tensor] = field(default_factory=dict)
    step_weight: Float[Tensor, ""] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def total_weight(self) -> Float[Tensor, ""]:
        """Sum of the weights of all images of the step; a sum over images divided by it is a mean, also in parts."""
        return self.weights.sum() if self.step_weight is None else self.step_weight

    def part(self, images: slice) -> "Batch":
        """Some of the images, which still know what the whole step weighs."""
        return dataclasses.replace(
            self,
            inputs=tuple(view.rows(images) for view in self.inputs),
            rows=self.rows[images],
            weights=self.weights[images],
            labels=None if self.labels is None else self.labels[images],
            view_numbers=None if self.view_numbers is None else self.view_numbers[images],
            beside={name: value[images] for name, value in self.beside.items()},
            step_weight=self.total_weight,
        )


def in_parts(batches: Batches, most_at_once: int) -> Iterator[Batches]:
    """A step in parts of at most so many images of its largest source; the others are divided into as many parts.

    >>> import torch
    >>> sizes = {"labelled": 5, "target": 2}
    >>> step = {name: Batch((), np.arange(count), torch.ones(count)) for name, count in sizes.items()}
    >>> [{name: len(batch) for name, batch in part.items()} for part in in_parts(step, 2)]
    [{'labelled': 2, 'target': 1}, {'labelled': 2, 'target': 1}, {'labelled': 1, 'target': 0}]
    """
    largest = max(len(batch) for batch in batches.values())
    count = -(-largest // most_at_once)
    strides = {name: most_at_once if len(batch) == largest else -(-len(batch) // count)
               for name, batch in batches.items()}  # fmt: skip
    for number in range(count):
        yield {
            name: batch.part(slice(number * strides[name], (number + 1) * strides[name]))
            for name, batch in batches.items()
        }
