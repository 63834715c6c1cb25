"""The routes that belong to a step of a rollout, made from those that held before it began."""

from dataclasses import dataclass, replace

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.rollout.decision import RouteStep
from vitrail.traffic.plain_values import known_names
from vitrail.traffic.routes import Arm, Routes

WRITER = "rollout"
"""Who wrote the revisions of a rollout."""


@dataclass(frozen=True)
class RolloutArms:
    """What a rollout changes.

    Attributes:
        base: the routes before it began; users return to these.
        replaces: the stable arm that gets the candidate's model in the end.
        candidate: id of the candidate's model.
        canary: name of the arm that users come to.
        control: name of the arm beside it, with the model that stands.
        shadow: name of the arm that answers copies.
        previous: name of the arm in which the model that stood waits, without traffic.
    """

    base: Routes
    replaces: str
    candidate: str
    canary: str
    control: str
    shadow: str
    previous: str

    @property
    def replaced(self) -> Arm:
        """The stable arm that gets the candidate's model in the end."""
        return next(arm for arm in self.base.arms if arm.name == self.replaces)


def rollout_arms(
    base: Routes, candidate: str, *, replaces: str | None = None, number: int | None = None
) -> RolloutArms:  # fmt: skip
    """The arms of a rollout that begins on these routes.

    Args:
        base: the routes that hold.
        candidate: id of the candidate's model.
        replaces: a stable arm with a weight; None: the only one that there is.
        number: of the rollout, which its arms carry, so that nothing that an older one counted is taken for its own;
            None: they carry none.

    Raises:
        InputError: another candidate is being tried, the candidate serves already, or it is not clear what is replaced.
    """
    busy = [arm.name for arm in base.arms if arm.role in ("canary", "control")]
    if busy:
        raise InputError(
            f"revision {base.revision} has the arms {', '.join(busy)}: another candidate is being tried",
            hint="wait for its end, or abort it",
        )
    serving = [arm.name for arm in base.arms if arm.model == candidate and arm.weight > 0]
    if serving:
        raise InputError(f"{candidate} serves already, in the arm {serving[0]}", hint="nothing is to be rolled out")
    stable = [arm.name for arm in base.stable_arms if arm.weight > 0]
    if replaces is None and len(stable) > 1:
        raise InputError(f"{len(stable)} stable arms have traffic", hint=f"say which is replaced: {', '.join(stable)}")
    replaces = stable[0] if replaces is None else replaces
    if replaces not in stable:
        hint = did_you_mean(replaces, stable) or known_names(stable)
        raise InputError(f"{replaces} is no stable arm with traffic", hint=hint)
    taken = {arm.name for arm in base.arms}
    behind = "" if number is None else f"-{number}"
    names = {name: _free_name(f"{name}{behind}", taken) for name in ("canary", "control", "shadow")}
    waiting = {arm.name for arm in base.stable_arms if arm.weight == 0}
    previous = _free_name(f"{replaces[:48]}-previous", taken - waiting)
    return RolloutArms(base, replaces, candidate, **names, previous=previous)


def routes_of(arms: RolloutArms, step: RouteStep, *, share: float, revision: int, note: str) -> Routes:
    """The routes of a step.

    Salt and stable arms stay as they are, so that users move only into canary and control as these grow, or back. When
    everybody gets the candidate it is in the arm that it replaces: also where several stable arms share the traffic,
    nobody moves between them.

    Args:
        arms: of the rollout.
        step: from a decision.
        share: of all traffic, for canary and control each; of the copies for a shadow.
        revision: the number of these routes.
        note: why there is this revision.

    Raises:
        InputError: the share is none that the step can have.
    """
    base = arms.base
    match step:
        case "stable":
            changed = base.arms
        case "loaded":
            changed = (*base.arms, Arm(arms.shadow, arms.candidate, "shadow", share=0.0))
        case "shadow":
            changed = (*base.arms, Arm(arms.shadow, arms.candidate, "shadow", share=share))
        case "split":
            canary = Arm(arms.canary, arms.candidate, "canary", share=share)
            control = Arm(arms.control, arms.replaced.model, "control", share=share)
            changed = (*base.arms, canary, control)
        case "promoted":
            changed = _promoted(arms)
    fallback = _fallback(arms, changed) if step == "promoted" else base.fallback
    return replace(base, revision=revision, arms=changed, fallback=fallback, note=note, by=WRITER)


def _promoted(arms: RolloutArms) -> tuple[Arm, ...]:
    """What stood before the model that stood is let go."""
    kept = (arm for arm in arms.base.arms if arm.name != arms.previous)
    changed = (replace(arm, model=arms.candidate) if arm.name == arms.replaces else arm for arm in kept)
    return (*changed, Arm(arms.previous, arms.replaced.model, weight=0.0))


def _fallback(arms: RolloutArms, changed: tuple[Arm, ...]) -> tuple[str, ...]:
    """Where models were named, the candidate stands before the one that it replaces."""
    old, served = arms.replaced.model, {arm.model for arm in changed}
    named = (each for name in arms.base.fallback for each in ((arms.candidate, old) if name == old else (name,)))
    return tuple(dict.fromkeys(name for name in named if name in served))


def _free_name(name: str, taken: set[str]) -> str:
    numbered = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
    return next(each for each in numbered if each not in taken)
