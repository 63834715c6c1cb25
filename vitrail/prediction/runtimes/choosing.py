"""Which runtime is used on this machine: measured on the user's own images, and an ordinary value with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from vitrail.data.preprocessing import Preprocessing
from vitrail.prediction.runtimes.agreement import refuse_disagreement
from vitrail.prediction.runtimes.known import candidates
from vitrail.prediction.runtimes.measuring import Trial, measure_runtimes, seconds_per_image
from vitrail.prediction.runtimes.runtime import Runtime
from vitrail.prediction.runtimes.torch_runtime import EXACT

WORTH_BUILDING_SECONDS = 30.0
"""When torch in float32 needs less for all images, no other library is tried: converting a ViT-S/16 takes one about
four seconds on two free cores, and two or three are tried."""


@dataclass(frozen=True)
class Choice:
    """A runtime, why it was chosen, and what was measured; nothing was where there was nothing to choose."""

    runtime: Runtime
    reason: str
    trials: tuple[Trial, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values for journals and reports."""
        trials = [trial.as_json() for trial in self.trials]
        return {"runtime": self.runtime.name, "reason": self.reason, "trials": trials}


def choose_runtime(
    model: nn.Module,
    preprocessing: Preprocessing,
    pixels: UInt8[np.ndarray, "B H W C"],
    *,
    asked: str = "auto",
    images: int,
    exact: bool,
    device: torch.device,
) -> Choice:
    """The runtime in which so many images are done first, among those that agree with torch in float32.

    Args:
        model: what is to be run.
        preprocessing: how its input is normalised.
        pixels: a batch of the user's own images, to measure and compare on.
        asked: `auto`, a library (`torch`, `openvino`, `onnx`) or a runtime's full name.
        images: how many there are altogether: another library is not worth converting the model for a few.
        exact: whether only float32 will do; a full name says for itself.
        device: where the model is run.

    Raises:
        InputError: no such runtime; what was asked for cannot run this model, or disagrees (both figures are told).
        SystemFault: what was asked for is not installed, or not known to this processor.
    """
    possible = candidates(asked, exact=exact, device=device)
    if asked == "auto" and _soon_done(model, preprocessing, pixels, images, device):
        possible = candidates("torch", exact=exact, device=device)
    if list(possible) == [EXACT]:
        why = "the only exact way that is worth trying for so few images" if asked == "auto" else "as asked for"
        return Choice(EXACT, f"{EXACT.name}, {why}")
    runtimes = [EXACT, *(each for each in possible if each != EXACT)]
    trials = measure_runtimes(model, preprocessing, pixels, runtimes=runtimes, device=device)
    return fastest(trials, possible, images=images)


def fastest(trials: Sequence[Trial], possible: Sequence[Runtime], *, images: int) -> Choice:
    """The trial in which so many images are done first, among those that agree.

    Args:
        trials: the first is that of torch in float32, which needs nobody's agreement.
        possible: the runtimes that may be chosen.
        images: how many there are.

    Raises:
        VitrailError: why none of them may be used, as `choose_runtime`.
    """
    eligible = [trial for trial in trials if trial.runtime in possible and (trial.agrees or trial.runtime == EXACT)]
    if not eligible:
        _refuse(next(trial for trial in trials if trial.runtime in possible))
    best = min(eligible, key=lambda trial: trial.seconds(images))
    return Choice(best.runtime, _reason(best, trials[0]), tuple(trials))


def _soon_done(
    model: nn.Module, preprocessing: Preprocessing, pixels: np.ndarray, images: int, device: torch.device
) -> bool:
    return images * seconds_per_image(model, preprocessing, pixels, device=device) < WORTH_BUILDING_SECONDS


def _refuse(trial: Trial) -> NoReturn:
    if trial.agreement is not None:
        refuse_disagreement(trial.runtime.name, trial.agreement, exact=trial.runtime.exact)
    assert trial.fault is not None
    raise trial.fault


def _reason(best: Trial, exact: Trial) -> str:
    if best.runtime == EXACT or best.agreement is None:
        return f"{EXACT.name}: the fastest here ({exact.images_per_second:.0f} images/s on this machine)"
    built = f", after {best.preparation_seconds:.0f} s of preparation" if best.preparation_seconds >= 1 else ""
    return (
        f"{best.runtime.name}: {best.images_per_second / exact.images_per_second:.1f} times as fast as {EXACT.name} "
        f"here ({best.images_per_second:.0f} against {exact.images_per_second:.0f} images/s{built}), features agree "
        f"({best.agreement.text()})"
    )
