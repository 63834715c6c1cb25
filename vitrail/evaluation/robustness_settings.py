"""Settings of the evaluation of robustness."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from vitrail.basics.errors import InputError
from vitrail.basics.settings import Settings
from vitrail.data.corruptions.known import CORRUPTIONS, SEVERITIES, known_corruptions


class RobustnessSettings(Settings):
    """How hard a model is tried.

    Sources: the attack of 0.1 and noise of 0.1, 0.2, 0.3 are those of the articles that Vitrail grew from; the small
    attacks are the usual ones of the field, in grey levels of 255; 10 steps are those of A. Madry et al. (2018).
    """

    robustness_images: int | None = Field(default=None, ge=1)
    """How many images are tried, taken evenly from every class; None: 2,000 on an accelerator, on a processor 60 to
    200, fewer the larger the model is."""
    attack_epsilon: float = Field(default=0.1, ge=0, le=1)
    """Largest change of a pixel, on the scale 0-1, by the one-step attack (FGSM) behind `adversarial_accuracy`."""
    attack_levels: tuple[float, ...] = (0.5, 1, 2, 4, 8)
    """Largest changes for the curves of FGSM and PGD, in grey levels of 255, beside `attack_epsilon`."""
    attack_steps: int = Field(default=10, ge=1, le=1000)
    """Steps of PGD."""
    attack_lengths: tuple[float, ...] = ()
    """Lengths (L2, on the scale 0-1) for a curve of PGD measured in that way; none: no such curve."""
    noise_levels: tuple[float, ...] = (0.1, 0.2, 0.3)
    """Standard deviations of normal noise, on the scale 0-1."""
    corruptions: tuple[str, ...] = tuple(CORRUPTIONS)
    """Common corruptions by name, e.g. fog,jpeg_compression; none: that part is left out."""
    corruption_severities: tuple[int, ...] = (1, 3, 5)
    """Severities, of 1 to 5; all five are what published figures rest on."""
    corruption_reference: Path | None = None
    """A report.json, or the folder that it is in, of an earlier model judged on the same images: errors are divided by
    its errors. None: AlexNet's where the classes are ImageNet's, else nothing."""
    robustness_examples: int = Field(default=4, ge=0, le=24)
    """Images that are shown beside what an attack made of them."""
    robustness_batch_size: int = Field(default=16, ge=1)
    """Images at a time."""

    @field_validator(
        "attack_levels", "attack_lengths", "noise_levels", "corruptions", "corruption_severities", mode="before"
    )
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """As somebody writes several on a command line: `0.1,0.2`, or one alone."""
        if isinstance(value, str):
            return [each.strip() for each in value.split(",") if each.strip()]
        return [value] if isinstance(value, int | float) else value

    @field_validator("attack_levels", "attack_lengths", "noise_levels")
    @classmethod
    def _from_0(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(value < 0 for value in values):
            raise ValueError("numbers from 0 on")
        return tuple(sorted(set(values)))

    @field_validator("corruptions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(known_corruptions(names))
        except InputError as error:
            raise ValueError(f"{error.message} ({error.hint})") from error

    @field_validator("corruption_severities")
    @classmethod
    def _severities(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if not values or any(value not in SEVERITIES for value in values):
            raise ValueError("some of 1, 2, 3, 4, 5")
        return tuple(sorted(set(values)))

    @property
    def epsilons(self) -> tuple[float, ...]:
        """Largest changes of a pixel for the curves, on the scale 0-1, ascending; 0 is not among them."""
        return tuple(sorted({*(level / 255 for level in self.attack_levels), self.attack_epsilon} - {0.0}))
