"""Which runtime is used on this machine: measured on the user's own images, and an ordinary value with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from vitrail.prediction.runtimes.agreement import refuse_disagreement
from vitrail.prediction.runtimes.known import candidates
from vitrail.prediction.runtimes.measuring import Trial, measure_runtimes
from vitrail.prediction.runtimes.runtime import Runtime, Workload
from vitrail.prediction.runtimes.torch_runtime import EXACT

WORTH_BUILDING_SECONDS = 30.0
"""When torch needs less for all images, no other library is tried: converting a ViT-S/16 takes one five to ten seconds
on two cores, and beside torch in bfloat16 it gains a tenth to a third."""


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


def choose_runtime(workload: Workload, *, asked: str = "auto", images: int, exact: bool) -> Choice:
    """The runtime in which so many images are done first, among those that agree with torch in float32.

    Args:
        workload: to measure and compare on.
        asked: `auto`, a library (`torch`, `openvino`, `onnx`) or a runtime's full name.
        images: how many there are altogether: another library is not worth converting the model for a few.
        exact: whether only float32 will do; a full name says for itself.

    Raises:
        InputError: no such runtime; what was asked for cannot run this model, or disagrees (both figures are told).
        SystemFault: what was asked for is not installed, or not known to this processor.
    """
    if asked == "auto":
        return _automatic(workload, images=images, exact=exact)
    possible = candidates(asked, exact=exact, device=workload.device)
    if list(possible) == [EXACT]:
        return Choice(EXACT, f"{EXACT.name}, as asked for")
    return fastest(_measured(workload, possible), possible, images=images)


def _automatic(workload: Workload, *, images: int, exact: bool) -> Choice:
    """Torch, unless there is so much to do that another library is worth a conversion.

    Other libraries are tried in the precision that is best in torch: where that is bfloat16, their float32 is slower.
    """
    possible = candidates("auto", exact=exact, device=workload.device)
    of_torch = [each for each in possible if each.library == EXACT.library]
    trials = _measured(workload, of_torch)
    best = fastest(trials, of_torch, images=images)
    others = [each for each in possible if each not in of_torch and each.exact == best.runtime.exact]
    if not others:
        return best
    if next(trial for trial in trials if trial.runtime == best.runtime).seconds(images) < WORTH_BUILDING_SECONDS:
        return replace(best, reason=f"{best.reason}; so few images are not worth a conversion for another library")
    again = _measured(workload, [best.runtime, *others])
    earlier = [trial for trial in trials if trial.runtime not in (EXACT, best.runtime)]
    return fastest([*again, *earlier], [best.runtime, *others], images=images)


def _measured(workload: Workload, possible: Sequence[Runtime]) -> list[Trial]:
    return measure_runtimes(workload, [EXACT, *(each for each in possible if each != EXACT)])


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
