"""Training a whole small network on pictures in memory, for studies that do it again and again.

No image chooses anything: the number of epochs is fixed beforehand and the last weights are kept, so that the images
that judge stay unseen until then.
"""

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float

from vitrail.basics.events import Emit, Event, WorkAdvanced, WorkDescribed, WorkEnded, WorkStarted, nobody
from vitrail.data.columns import labels_of
from vitrail.data.pictures_in_memory import PicturesInMemory
from vitrail.models.chain import Chain
from vitrail.models.ready import ReadyModel
from vitrail.prediction.normalise import Normalise
from vitrail.training.job import TrainingJob
from vitrail.training.loop import train
from vitrail.training.memory_batches import MemoryBatches
from vitrail.training.objectives.classification import Classification
from vitrail.training.optimization_settings import OptimizationSettings
from vitrail.training.out_of_memory import Portions
from vitrail.training.precision import BFLOAT16, FLOAT32
from vitrail.training.stages import CLASSIFICATION, Stage
from vitrail.training.validation import HeldOutPixels, exact_logits

AT_ONCE = 256
"""Images of one forward pass that judges."""
LOOKED_AT = 64
"""Training images on which the loop looks after every epoch whether the model is still one."""
_SHOWN = WorkStarted | WorkAdvanced | WorkDescribed | WorkEnded


@dataclass(frozen=True)
class MemoryTraining:
    """How a network is trained.

    Attributes:
        epochs: walks through the training images.
        images_per_step: whose mean gradient makes one step.
        learning_rate: peak rate of AdamW, for all layers.
        weight_decay: of matrices, positions and tokens; biases and norms are left alone.
        most_shift_pixels: training images are shifted by up to so many pixels in each direction.
        bfloat16: multiply in bfloat16; weights stay in float32.
    """

    epochs: int
    images_per_step: int
    learning_rate: float
    weight_decay: float = 0.05
    most_shift_pixels: int = 1
    bfloat16: bool = False

    @property
    def optimization(self) -> OptimizationSettings:
        """The same for the loop: a tenth of the steps warms up, and the rate ends at zero."""
        return OptimizationSettings(
            images_per_step=self.images_per_step, learning_rate=self.learning_rate, weight_decay=self.weight_decay,
            layer_decay=1.0, floor_fraction=0.0,
        )  # fmt: skip


def trained_logits(
    ready: ReadyModel,
    pictures: PicturesInMemory,
    rows: tuple[pa.Table, pa.Table],
    how: MemoryTraining,
    *,
    seed: int,
    emit: Emit = nobody,
) -> Float[np.ndarray, "N K"]:
    """Train the whole network on the first table's images, and answer about the second's.

    Args:
        ready: the network as it begins; it ends trained, in evaluation mode.
        pictures: all images of both tables.
        rows: what is trained on, and what is answered about.
        how: it is trained.
        seed: of shuffling and shifting.
        emit: receives progress.
    """
    training, judged = (
        HeldOutPixels(pictures.of(part), labels_of(part, pictures.classes), ready.preprocessing, AT_ONCE)
        for part in rows
    )

    def shown(event: Event) -> None:
        if isinstance(event, _SHOWN):
            emit(event)

    with tempfile.TemporaryDirectory() as place:
        job = _job(ready, training, rows[0]["id"].to_pylist(), pictures.classes, how, seed=seed, folder=Path(place))
        train(job, emit=shown)
    ready.model.eval()
    return exact_logits(job.chain, judged, ready.device)


def _job(
    ready: ReadyModel, training: HeldOutPixels, ids: list[str], classes: list[str], how: MemoryTraining, *, seed: int,
    folder: Path,
) -> TrainingJob:  # fmt: skip
    batches = MemoryBatches(
        torch.from_numpy(training.all_pixels), torch.from_numpy(training.labels), ids, how.images_per_step,
        how.most_shift_pixels, seed,
    )  # fmt: skip
    few = HeldOutPixels(training.all_pixels[:LOOKED_AT], training.labels[:LOOKED_AT], ready.preprocessing, AT_ONCE)
    normalise = Normalise(ready.preprocessing, ready.device)
    return TrainingJob(
        chain=_decaying_whole(ready.chain),
        stages=(Stage("training", how.epochs, how.learning_rate, 0, 0, None, cached=False),),
        objectives={CLASSIFICATION: Classification(batches, normalise, tuple(classes))},
        validation=few,
        sample=few,
        settings=how.optimization,
        precision=BFLOAT16 if how.bfloat16 else FLOAT32,
        portions=Portions(how.images_per_step, [], lambda *_, **__: None),
        device=ready.device,
        seed=seed,
        folder=folder,
        metrics=folder / "metrics.jsonl",
        keep_logits=False,
    )


def _decaying_whole(chain: Chain) -> Chain:
    """The same chain, positions and tokens of which decay like matrices: docs/starter.md was measured so."""
    vectors = frozenset(name for name, value in chain.model.named_parameters() if value.ndim <= 1)
    decaying = Chain(chain.model)
    decaying.order = dataclasses.replace(decaying.order, no_weight_decay=vectors)
    return decaying
