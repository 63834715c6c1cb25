"""Rollouts with traffic that is drawn: how often a good candidate is stopped, and how soon a bad one is."""

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from vitrail.monitoring.latency import bucket_of, seconds_of
from vitrail.rollout.decision import Decision, Moment, route_step
from vitrail.rollout.evidence import (
    ArmCounts,
    ClassPairs,
    Evidence,
    Exposures,
    ModelHealth,
    Pairs,
    Verification,
)
from vitrail.rollout.measuring import has_everybody
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.state import RolloutState, begun_state
from vitrail.rollout.tick import tick

MOST_TICKS = 20_000


@dataclass(frozen=True)
class SimulatedModel:
    """How a model behaves.

    Attributes:
        failure_rate: of its requests.
        seconds: median of its answers; they are log-normal.
        spread: standard deviation of the logarithm.
        accuracy: on every class.
        class_accuracy: instead, by number of the class.
    """

    failure_rate: float = 0.001
    seconds: float = 0.03
    spread: float = 0.4
    accuracy: float = 0.9
    class_accuracy: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SimulatedTraffic:
    """What comes.

    Attributes:
        requests_per_second: of all users together.
        truth_share: of images whose truth comes.
        tick_seconds: from one look to the next.
        classes: how many, equally frequent.
        wrong_alike: where both models are wrong, how often they are so in the same way; and of the images that one has
            right, how much more often the other has, too: 1: as often as can be.
    """

    requests_per_second: float = 50.0
    truth_share: float = 0.0
    tick_seconds: float = 30.0
    classes: int = 10
    wrong_alike: float = 0.8


@dataclass(frozen=True)
class SimulatedRollout:
    """How a simulated rollout ended.

    Attributes:
        result: as the state has it; `paused (KIND)` where it waits for a person.
        seconds: how long it took.
        requests: of all users until then.
        exposed: of these, answered by the candidate.
        last: the decision that ended it.
    """

    result: str
    seconds: float
    requests: int
    exposed: int
    last: Decision


def simulated_rollout(
    plan: RolloutSettings, stable: SimulatedModel, candidate: SimulatedModel, traffic: SimulatedTraffic, *, seed: int
) -> SimulatedRollout:
    """Drive `tick` with drawn traffic until the rollout is over or waits for a person."""
    random = np.random.default_rng(seed)
    state, drawn, seconds, requests, exposed = begun_state(plan, wall=0.0), _Drawn(), 0.0, 0, 0
    for _ in range(MOST_TICKS):
        n = int(random.poisson(traffic.requests_per_second * traffic.tick_seconds))
        drawn = drawn.after(plan, state, (stable, candidate), traffic, n, random)
        decision = tick(plan, state, drawn.evidence(), Moment(wall=seconds, elapsed=traffic.tick_seconds))
        seconds, requests, exposed = seconds + traffic.tick_seconds, requests + n, exposed + drawn.newly_exposed
        if decision.routes is not None or decision.outcome == "advance":
            drawn = _Drawn()
        state = decision.state
        if state.is_over or state.pause is not None:
            break
    paused = "did not end" if state.pause is None else f"paused ({state.pause.kind})"
    return SimulatedRollout(state.result or paused, seconds, requests, exposed, decision)


@dataclass(frozen=True)
class _Drawn:
    """What was drawn since the phase began."""

    candidate: ArmCounts = field(default_factory=ArmCounts)
    control: ArmCounts = field(default_factory=ArmCounts)
    pairs: Pairs = field(default_factory=Pairs)
    newly_exposed: int = 0

    def after(
        self, plan: RolloutSettings, state: RolloutState, models: tuple[SimulatedModel, SimulatedModel],
        traffic: SimulatedTraffic, n: int, random: np.random.Generator,
    ) -> "_Drawn":  # fmt: skip
        step, share = route_step(plan, state)
        stable, candidate = models
        if step in ("stable", "loaded"):
            return replace(self, newly_exposed=0)
        copies = int(random.binomial(n, share))
        others = n if step == "shadow" else 0 if has_everybody(plan, state) else int(random.binomial(n, share))
        one, other = (
            _sum(before, _counts(model, m, traffic, random))
            for before, model, m in ((self.candidate, candidate, copies), (self.control, stable, others))
        )
        pairs = _sum_pairs(self.pairs, _pairs(models, copies, traffic, random)) if step == "shadow" else self.pairs
        return _Drawn(one, other, pairs, newly_exposed=0 if step == "shadow" else copies)

    def evidence(self) -> Evidence:
        """As the service would give it."""
        fine = ModelHealth("ready", healthy=True)
        exposures = Exposures(self.candidate.requests, self.control.requests)
        return Evidence(
            candidate=fine, stable=fine, verification=Verification(True, "the package is what it says"),
            candidate_counts=self.candidate, control_counts=self.control, pairs=self.pairs, exposures=exposures,
        )  # fmt: skip


def _counts(model: SimulatedModel, n: int, traffic: SimulatedTraffic, random: np.random.Generator) -> ArmCounts:
    failures = int(random.binomial(n, model.failure_rate))
    judged = int(random.binomial(n - failures, traffic.truth_share))
    accuracy = float(np.mean([model.class_accuracy.get(k, model.accuracy) for k in range(traffic.classes)]))
    first, chances = _bucket_chances(model.seconds, model.spread)
    drawn = random.multinomial(n - failures, chances)
    times = {first + int(place): int(drawn[place]) for place in np.flatnonzero(drawn)}
    return ArmCounts(n, failures, times, judged, int(random.binomial(judged, 1 - accuracy)))


@functools.cache
def _bucket_chances(median: float, spread: float) -> tuple[int, Float[np.ndarray, " T"]]:
    """The first bucket of the times of a log-normal distribution, and the chances of it and those after it."""
    first, last = (bucket_of(median * np.exp(sign * 5 * spread)) for sign in (-1, 1))
    middles = np.log([seconds_of(bucket) for bucket in range(first, last + 1)])
    density = np.exp(-((middles - np.log(median)) ** 2) / (2 * spread**2))
    return first, density / density.sum()


def _pairs(
    models: tuple[SimulatedModel, SimulatedModel], n: int, traffic: SimulatedTraffic, random: np.random.Generator
) -> Pairs:
    by_class = {}
    for k, m in enumerate(random.multinomial(n, [1 / traffic.classes] * traffic.classes).tolist()):
        one, other = (model.class_accuracy.get(k, model.accuracy) for model in models)
        both = min(one, other) * traffic.wrong_alike + one * other * (1 - traffic.wrong_alike)
        neither = 1 - one - other + both
        right, fixed, broken, wrong = random.multinomial(
            m, [both, other - both, one - both, max(0.0, neither)]
        ).tolist()
        agree = right + int(random.binomial(wrong, traffic.wrong_alike))
        told = [int(random.binomial(each, traffic.truth_share)) for each in (right, fixed, broken, wrong)]
        by_class[f"class {k}"] = ClassPairs(m, agree, sum(told), told[1], told[2])
    whole = _sum_class(*by_class.values())
    return Pairs(whole.pairs, whole.agree, whole.judged, whole.fixed, whole.broken, by_class)


def _sum(one: ArmCounts, more: ArmCounts) -> ArmCounts:
    times = Counter(one.times)
    times.update(more.times)
    numbers = ("requests", "failures", "judged", "wrong")
    return ArmCounts(times=times, **{name: getattr(one, name) + getattr(more, name) for name in numbers})


def _sum_class(*parts: ClassPairs) -> ClassPairs:
    names = ("pairs", "agree", "judged", "fixed", "broken")
    return ClassPairs(*(sum(getattr(part, name) for part in parts) for name in names))


def _sum_pairs(one: Pairs, more: Pairs) -> Pairs:
    by_class = {name: _sum_class(one.by_class.get(name, ClassPairs()), each) for name, each in more.by_class.items()}
    whole = _sum_class(one.whole, more.whole)
    return Pairs(whole.pairs, whole.agree, whole.judged, whole.fixed, whole.broken, by_class)


def simulated_rollouts(
    plan: RolloutSettings, stable: SimulatedModel, candidate: SimulatedModel, traffic: SimulatedTraffic, *, seeds: range
) -> Iterator[SimulatedRollout]:
    """One rollout by seed."""
    for seed in seeds:
        yield simulated_rollout(plan, stable, candidate, traffic, seed=seed)
