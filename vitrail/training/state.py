"""Where a training run stands: everything that the next step depends on beside settings, data and seed."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Best:
    """The best epoch so far: its number over all stages, its score (lower is better) and the number of its stage."""

    epoch: int
    score: float
    stage: int


@dataclass
class TrainingState:
    """Where a run stands between two steps.

    Attributes:
        stage: number of the stage, from 0; the number of stages when all are done.
        step: steps done in this stage.
        epochs: epochs done in all stages.
        loss_sum: of the current epoch's finite step losses, and `loss_steps` how many these are.
        skipped: steps left out because their gradient was not finite.
        skipped_in_a_row: the last of them, without a good step between.
        scale_searches: steps left out because a loss scale was searched for; none of them is lost.
        best: of all stages with the same objective as the last one; None before the first validation.
        stage_best: of the latest stage that was validated.
        seconds: that training has taken, in all processes that worked on the run.
        final_training_loss: measured as validation is, after the last step, on a sample of the training images.
        spent: by stage name, `seconds` of its steps, `images` computed in them, and seconds `waited` for these.
        history: one record per epoch, as in `metrics.jsonl`.
    """

    stage: int = 0
    step: int = 0
    epochs: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    scale_searches: int = 0
    best: Best | None = None
    stage_best: Best | None = None
    seconds: float = 0.0
    final_training_loss: float | None = None
    spent: dict[str, dict[str, float]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def left_out(self) -> list[str]:
        """Which steps changed nothing, and why, in sentences."""
        sentences = []
        if self.skipped:
            sentences.append(f"{self.skipped} steps were left out because their gradient was not finite.")
        if self.scale_searches:
            sentences.append(
                f"{self.scale_searches} steps only showed that the loss scale of float16 was too large, and changed "
                "nothing."
            )
        return sentences

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainingState":
        """The state that `as_json` described."""
        bests = {name: values[name] and Best(**values[name]) for name in ("best", "stage_best")}
        return cls(**{**values, **bests})
