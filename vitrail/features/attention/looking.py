"""Looking at images through a model: its answer, and four views of what stands behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.features.attention.faithfulness import SHARES, deletions
from vitrail.features.attention.map import AttentionMap, map_of, times_even
from vitrail.features.attention.reader import Attended, AttentionReader, Explained
from vitrail.measures.deletion import Deletion
from vitrail.models.inputs import Pixels
from vitrail.models.parts.decision import Decision
from vitrail.prediction.normalise import Normalise
from vitrail.prediction.unit_pixels import Seeing

AT_ONCE = 8
"""Images in one forward and backward pass."""


@dataclass(frozen=True, eq=False)
class LookedAt:
    """What was seen of one image.

    Attributes:
        picture: what the network saw, uint8 (H, W, C).
        answer: number of the class that is explained; None where the network has no classifier.
        predicted: number of the class that the network answers.
        probability: of the explained class.
        attention: of one layer and head.
        rollout: how many times an even share of the answer comes from each patch, through all layers.
        relevance: the same of what spoke for the class; None without classifier.
        distances: mean distance of attention by layer and head, in patches, (L, N).
        deletions: by `rollout` and `relevance`, whether it says more than chance; empty where that was not asked.
    """

    picture: UInt8[np.ndarray, "H W C"]
    answer: int | None
    predicted: int | None
    probability: float | None
    attention: AttentionMap
    rollout: Float[np.ndarray, "rows columns"]
    relevance: Float[np.ndarray, "rows columns"] | None
    distances: Float[np.ndarray, "L N"]
    deletions: dict[str, Deletion] = field(default_factory=dict)


class Looker:
    """Looks at images through one model.

    Args:
        seeing: a predictor or a ready model.
        classes: names of its classes, as far as they are known.
        layer, head: whose attention is shown; see `attention_map`.
        of_class: the class to explain, by name or number; None: what the network answers.

    Raises:
        NoTokenAttention: its family has none.
        InputError: no such layer, head or class.
    """

    def __init__(
        self, seeing: Seeing, classes: Sequence[str] = (), *, layer: int = -1, head: int | None = 0,
        of_class: str | None = None,
    ) -> None:  # fmt: skip
        shown = seeing.preprocessing
        self._normalise = Normalise(shown, seeing.device)
        blank = np.zeros((1, shown.height, shown.width, shown.channels), dtype=np.uint8)
        self.reader = AttentionReader(seeing.model, self._normalise(Pixels(blank)))
        self.classes, self.layer, self.head = tuple(classes), layer, head
        self.reader.layers.refuse_other_heads(layer, head)
        self.has_answer = getattr(seeing.model, "num_classes", None) != 0
        self._of_class = None if of_class is None else self._number(of_class)
        self._decision: Decision | None = getattr(seeing, "decision", None)  # of a package; ready models have none

    def name(self, answer: int) -> str:
        """What a class is called."""
        return self.classes[answer] if answer < len(self.classes) else f"class {answer}"

    def as_input(self, pixels: UInt8[np.ndarray, "B H W C"]) -> Float[torch.Tensor, "B C H W"]:
        """Pixels as the network takes them."""
        return self._normalise(Pixels(pixels))

    def at(
        self, pixels: UInt8[np.ndarray, "B H W C"], *, judged: int = 0, random_maps: int = 19, seed: int = 0,
        shares: Sequence[float] = SHARES,
    ) -> list[LookedAt]:  # fmt: skip
        """Look at images, a few at a time.

        Args:
            judged: of so many of them, the first ones, rollout and relevance are judged by deletion.
            random_maps, seed, shares: see `deletions`.
        """
        found: list[LookedAt] = []
        for start in range(0, len(pixels), AT_ONCE):
            part = pixels[start : start + AT_ONCE]
            x = self.as_input(part)
            seen = self.reader.explained(x, self._chosen(x)) if self.has_answer else self.reader.read(x)
            for row in range(len(x)):
                looked = self._one(seen, part, row)
                if isinstance(seen, Explained) and start + row < judged:
                    maps = {"rollout": seen.rollout()[row], "relevance": seen.relevance()[row]}
                    looked.deletions.update(
                        deletions(
                            self.reader, x[row : row + 1], maps, answer=int(looked.answer or 0),
                            shares=shares, random_maps=random_maps, seed=seed,
                        )
                    )  # fmt: skip
                found.append(looked)
        return found

    def _one(self, seen: Attended, pixels: np.ndarray, row: int) -> LookedAt:
        rows = seen.rows(self.layer, self.head)[row]
        chosen = int(seen.classes[row]) if isinstance(seen, Explained) else None
        probability = seen.logits[row].double().softmax(dim=0)
        return LookedAt(
            picture=pixels[row],
            answer=chosen,
            predicted=int(self._answered(probability[None])[0]) if self.has_answer else None,
            probability=None if chosen is None else float(probability[chosen]),
            attention=map_of(
                rows, seen.layers, size=pixels.shape[1:3], layer=self.layer, head=self.head, picture=pixels[row]
            ),
            rollout=times_even(seen.rollout()[row].cpu().numpy()),
            relevance=times_even(seen.relevance()[row].cpu().numpy()) if isinstance(seen, Explained) else None,
            distances=seen.distances()[row].cpu().numpy(),
        )

    def _chosen(self, x: Float[torch.Tensor, "B C H W"]) -> Any:
        """Of each image the class that is explained; None: the most probable one."""
        if self._of_class is not None:
            return torch.full((len(x),), self._of_class)
        if self._decision is None or self._decision.threshold is None:
            return None
        return torch.from_numpy(self._answered(self.reader.probabilities(x)))

    def _answered(self, probabilities: Float[torch.Tensor, "B K"]) -> Int[np.ndarray, "B"]:
        """What `predict` answers, too."""
        if self._decision is None:
            return probabilities.argmax(dim=1).cpu().numpy()
        return self._decision.predicted(probabilities.cpu().numpy())

    def _number(self, name: str) -> int:
        if not self.has_answer:
            raise InputError(f"the network has no classifier, so none of its answers is {name!r}")
        if name in self.classes:
            return self.classes.index(name)
        if name.isdigit() and (not self.classes or int(name) < len(self.classes)):
            return int(name)
        known = ", ".join(self.classes[:8]) + (", …" if len(self.classes) > 8 else "")
        raise InputError(f"there is no class {name!r}", hint=did_you_mean(name, self.classes) or f"known: {known}")
