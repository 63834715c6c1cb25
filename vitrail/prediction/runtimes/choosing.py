"""Which runtime is used on this machine: decided by its hardware and by agreement on the user's own images.

No stopwatch decides. Runtimes do not give the same digits, so a race between them would give other features, other
neighbours and another trained model whenever the machine is busy. What is usually faster is tried first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch

from vitrail.basics.devices import computes_in_bfloat16
from vitrail.basics.errors import InputError
from vitrail.prediction.runtimes.agreement import refuse_disagreement
from vitrail.prediction.runtimes.comparing import Comparison, Trial
from vitrail.prediction.runtimes.known import LIBRARIES, candidates, is_installed, named_runtime
from vitrail.prediction.runtimes.runtime import Runtime, Workload
from vitrail.prediction.runtimes.torch_runtime import EXACT

WORTH_BUILDING_OPERATIONS = 4e13
"""Floating-point operations of all images together from which on another library is tried first: half a minute to some
minutes of torch on two cores. Converting a ViT-S/16 takes OpenVINO five to ten seconds, and it gains a tenth to a
third. Counted, not timed."""

_PREFERRED = {
    "cpu": ("openvino bfloat16", "torch bfloat16 plain attention", "torch bfloat16 autocast", "openvino float32"),
    "cuda": ("torch bfloat16", "torch bfloat16 autocast"),
}
"""What is tried before torch in float32, by kind of device, the fastest first as measured in docs/speed.md."""


@dataclass(frozen=True)
class RuntimeChoice:
    """A runtime, why it was chosen, and what was found; nothing was where there was nothing to choose."""

    runtime: Runtime
    reason: str
    trials: tuple[Trial, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values for journals and reports."""
        trials = [trial.as_json() for trial in self.trials]
        return {"runtime": self.runtime.name, "reason": self.reason, "trials": trials}


def choose_runtime(workload: Workload, *, asked: str = "auto", images: int, exact: bool) -> RuntimeChoice:
    """The first of the runtimes that suit this machine which tells the images apart as torch does in float32.

    The same machine, model and images give the same answer, however busy the machine is.

    Args:
        workload: to compare on; a few dozen images from everywhere in the data show best how far they lie apart.
        asked: `auto`, a library (`torch`, `openvino`, `onnx`) or a runtime's full name, which is obeyed as long as
            it is not broken.
        images: how many there are altogether: another library is not worth converting the model for a few.
        exact: whether only float32 will do; a full name says for itself.

    Raises:
        InputError: no such runtime; what was asked for cannot run this model, or disagrees (both figures are told).
        SystemFault: what was asked for is not installed, or not known to this processor.
    """
    comparison = Comparison(workload)
    if asked not in ("auto", *LIBRARIES):
        return _named(comparison, named_runtime(asked))
    if asked == "auto":
        possible = [*preferred(workload.device, exact=exact), EXACT]
        if any(each.library != EXACT.library for each in possible) and _few(comparison, images):
            possible = [each for each in possible if each.library == EXACT.library]
    else:
        possible = _of_library(asked, workload.device, exact=exact)
    return first_faithful(comparison, possible)


def preferred(device: torch.device, *, exact: bool) -> list[Runtime]:
    """What suits this machine better than torch in float32, the fastest first."""
    runtimes = [named_runtime(name) for name in _PREFERRED.get(device.type, ())]
    fast = not exact and computes_in_bfloat16(device)
    return [each for each in runtimes if (each.exact or fast) and is_installed(each)]


def _few(comparison: Comparison, images: int) -> bool:
    return comparison.operations * images < WORTH_BUILDING_OPERATIONS


def _of_library(library: str, device: torch.device, *, exact: bool) -> list[Runtime]:
    if library == EXACT.library:
        return [*(each for each in preferred(device, exact=exact) if each.library == library), EXACT]
    possible = candidates(library, exact=exact or not computes_in_bfloat16(device), device=device)
    return sorted(possible, key=lambda each: each.exact)


def _named(comparison: Comparison, runtime: Runtime) -> RuntimeChoice:
    """What was asked for by its full name, unless it is broken; how it does on these images is told."""
    if runtime == EXACT:
        return RuntimeChoice(EXACT, f"{EXACT.name}, as asked for")
    exact, trial = comparison.trial(EXACT), comparison.trial(runtime)
    if trial.agreement is None or not trial.agreement.suffices(exact=runtime.exact):
        _refuse(trial)
    told = f"features agree ({trial.agreement.text()})"
    if not trial.faithful:
        told = f"although these images lie near each other: features are {trial.agreement.apart_text()}"
    return RuntimeChoice(runtime, f"{runtime.name}: as asked for, {told}", (exact, trial))


def first_faithful(comparison: Comparison, possible: Sequence[Runtime]) -> RuntimeChoice:
    """The first that may be used; torch in float32 always may.

    Raises:
        VitrailError: why none of them may be used, as `choose_runtime`.
    """
    trials: list[Trial] = []
    for runtime in possible:
        if runtime == EXACT:
            return RuntimeChoice(EXACT, _why_exact(trials), tuple(trials))
        trials.append(comparison.trial(runtime))
        if trials[-1].faithful:
            return RuntimeChoice(runtime, _why(trials[-1]), tuple(trials))
    _refuse(trials[-1])


def _refuse(trial: Trial) -> NoReturn:
    if trial.fault is not None:
        raise trial.fault
    assert trial.agreement is not None
    refuse_disagreement(trial.runtime.name, trial.agreement, exact=trial.runtime.exact)
    raise InputError(
        f"{trial.runtime.name} does not tell these images apart as torch float32 does: features are "
        f"{trial.agreement.apart_text()}",
        hint="use the runtime torch for these images",
    )


def _why(trial: Trial) -> str:
    assert trial.agreement is not None
    found = trial.agreement
    arithmetic = "float32" if trial.runtime.exact else "bfloat16, which this machine computes in"
    return f"{trial.runtime.name}: {arithmetic}; features agree ({found.text()}; {found.apart_text()})"


def _why_exact(trials: list[Trial]) -> str:
    ran = [trial for trial in trials if trial.agreement is not None and not trial.runtime.exact]
    if not ran:
        return f"{EXACT.name}: the reference itself; nothing installed suits these images and this machine better"
    nearest = min(ran, key=lambda trial: trial.agreement.share_of_spread)  # type: ignore[union-attr]
    assert nearest.agreement is not None
    return f"{EXACT.name}: {nearest.runtime.name} would be {nearest.agreement.apart_text()}"
