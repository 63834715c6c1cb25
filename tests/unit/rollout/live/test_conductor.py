"""A rollout against servers made by hand: to the end, or stopped where it must be; whatever is killed meanwhile."""

from dataclasses import replace

import pytest

from tests.unit.rollout.live.service import Behaviour, phases_of, quick_plan
from vitrail.basics.errors import InputError
from vitrail.rollout.live.replaying import replayed_rollout
from vitrail.traffic.routes import Arm

EVERY_PHASE = ["verifying", "loading", "shadow", "canary", "stage half", "stage all", "bake"]
SWAPPED = {"ant": "bee", "bee": "ant"}


def models_of(service) -> dict[str, float]:
    """Which models have traffic, with their shares."""
    latest = service.routes.latest()
    return {arm.model: arm.weight or arm.share for arm in latest.arms if arm.weight or arm.share}


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_a_good_candidate_comes_to_everybody_through_every_stage_and_becomes_stable(service, versions):
    running = service(servers=("one", "two"))
    running.begin()
    kept = running.run()
    assert (kept.state.result, kept.is_closed) == ("success", True)
    assert phases_of(running.store, kept) == EVERY_PHASE
    assert models_of(running) == {"flowers-2": 1.0}
    latest = running.routes.latest()
    assert [(arm.name, arm.model, arm.weight) for arm in latest.arms] == [
        ("flowers-1", "flowers-2", 1.0), ("flowers-1-previous", "flowers-1", 0.0)
    ]  # fmt: skip
    assert (latest.by, running.routes.models()["flowers-2"].digest) == ("rollout", kept.digest)
    assert (
        versions.version("flowers@stable").id == "flowers@2" and versions.version("flowers@previous").id == "flowers@1"
    )
    told = [each for each in versions.version("flowers@2").history if each.kind == "rollout"]
    assert [(each.facts["outcome"], each.facts["rollout"]) for each in told] == [("success", 1)]


STOPS = {
    "one of 40 fails": (Behaviour(failing=40), "shadow", "rejected", "failures: "),
    "half are slow": (Behaviour(slow=2), "canary", "canary_failed", "slow answers: "),
    "permuted": (Behaviour(says=SWAPPED.__getitem__), "shadow", "rejected", "shadow answers: of 80 images with a"),
    "a bad class": (Behaviour(says=lambda _: "ant"), "shadow", "rejected", "shadow answers: "),
    "leaks": (Behaviour(memory=lambda n: 400_000_000 + n * 150_000_000), "shadow", "rejected", "hard limit: the cand"),
    "no load": (Behaviour(loads=False), "loading", "rejected", "hard limit: the candidate is down: one could not"),
    "crashes": (Behaviour(ends=lambda n: n // 6), "canary", "canary_failed", "hard limit: the candidate's process"),
}  # fmt: skip


@pytest.mark.parametrize("fault", STOPS)
def test_a_bad_candidate_is_stopped_and_the_record_says_where_and_why(service, versions, fault):
    behaviour, place, result, why = STOPS[fault]
    running = service({"flowers-2": behaviour})
    running.begin()
    kept = running.run()
    last = kept.state.decisions[-1]
    assert (last.where, kept.state.result, last.outcome) == (place, result, "abort"), last
    assert last.sentences[0].startswith(why), last.sentences
    assert models_of(running) == {"flowers-1": 1.0}
    version = versions.version("flowers@2")
    assert version.state == "rejected" and version.history[-1].facts["why"].startswith(f"rollout 1: {result}: {why}")
    assert versions.version("flowers@stable").id == "flowers@1"


def test_without_truths_permuted_answers_are_stopped_because_they_are_others(service):
    running = service({"flowers-2": Behaviour(says=SWAPPED.__getitem__)}, truths=False)
    running.begin()
    last = running.run().state.decisions[-1]
    assert last.where == "shadow" and "the candidate agrees with the stable model on 0 of" in last.sentences[0]


def test_users_return_in_the_same_pass_in_which_it_is_decided(service):
    running = service({"flowers-2": Behaviour(slow=2)})
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    assert models_of(running) == {"flowers-1": 0.1, "flowers-2": 0.1}
    running.run(until=lambda kept: kept.state.is_over)
    assert models_of(running) == {"flowers-1": 1.0}


@pytest.mark.parametrize("where", ["verifying", "shadow", "stage", "bake"])
def test_a_person_aborts_wherever_it_is_and_users_return(service, versions, where):
    running = service()
    kept = running.begin()
    running.run(until=lambda kept: kept.state.phase == where)
    running.store.order(kept.number, "abort", by="Ada", why="complaints")
    kept = running.step()
    assert kept.is_closed and kept.state.decisions[-1].sentences == ("order: Ada ordered an abort: complaints",)
    assert models_of(running) == {"flowers-1": 1.0} and versions.version("flowers@2").state == "rejected"
    with pytest.raises(InputError, match="the rollout is over: "):
        running.store.order(kept.number, "pause", by="Ada", why="")


def test_a_pause_holds_it_and_a_promotion_goes_on_where_it_is_asked_for(service):
    running = service()
    kept = running.begin(
        stages=[{"name": "canary", "percent": 10}, {"name": "all", "percent": 100, "ask_before": True}]
    )
    running.run(until=lambda kept: kept.state.phase == "stage")
    running.store.order(kept.number, "pause", by="Ada", why="lunch")
    for _ in range(10):
        running.step()
    assert running.kept.state.stage == 0 and running.kept.state.pause.sentence == "Ada paused it: lunch"
    running.store.order(kept.number, "resume", by="Ada", why="")
    running.run(until=lambda kept: kept.state.pause is not None and kept.state.pause.kind == "approval")
    assert models_of(running) == {"flowers-1": 0.1, "flowers-2": 0.1}
    running.store.order(kept.number, "promote", by="Grace", why="looks well")
    assert running.run().state.result == "success"
    orders = [(line.outcome, line.by, line.why) for line in running.store.record(kept.number) if line.evidence is None]
    assert orders == [("pause", "Ada", "lunch"), ("resume", "Ada", ""), ("promote", "Grace", "looks well")]


def test_routes_that_somebody_else_writes_pause_it_and_are_replaced_only_when_a_person_says_so(service):
    running = service()
    kept = running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    latest = running.routes.latest()
    own = replace(latest, revision=latest.revision + 1, arms=kept.arms.base.arms, by="console", note="for now")
    running.routes.write(own, expected=latest.revision)
    paused = running.step().state.pause
    said = f"revision {own.revision} of the routes was written by console (for now), not by this rollout"
    assert (paused.kind, paused.gate) == ("integrity", f"revision {own.revision}") and paused.sentence.startswith(said)
    for _ in range(3):
        running.step()
    assert running.routes.latest() == own
    running.store.order(kept.number, "resume", by="Ada", why="")
    running.step()
    assert models_of(running) == {"flowers-1": 0.1, "flowers-2": 0.1}
    assert running.run().state.result == "success"


@pytest.mark.parametrize("with_candidate", [False, True])
def test_an_abort_leaves_somebody_elses_routes_unless_the_candidate_is_in_them(service, with_candidate):
    running = service()
    kept = running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    latest = running.routes.latest()
    arms = (
        Arm("flowers-1", "flowers-1", weight=1.0),
        Arm("x", "flowers-2" if with_candidate else "flowers-1", weight=1.0),
    )
    running.routes.write(
        replace(latest, revision=latest.revision + 1, arms=arms, by="console"), expected=latest.revision
    )
    running.step()
    running.store.order(kept.number, "abort", by="Ada", why="")
    assert running.run().state.result == "canary_failed"
    assert len(running.routes.latest().arms) == (1 if with_candidate else 2)


def test_the_next_rollout_counts_nothing_of_the_one_before(service, versions):
    faulty = {"flowers-2": Behaviour(slow=2)}
    running = service(faulty)
    first = running.begin()
    assert running.run().state.result == "canary_failed"
    faulty.clear()
    versions.set_state("flowers@2", "admitted", by="Ada")
    running.conductor = None
    second = running.begin()
    assert (second.number, second.arms.canary, first.arms.canary) == (2, "canary-2", "canary-1")
    assert running.run().state.result == "success"


def test_the_record_replayed_under_its_own_plan_gives_the_same_decisions_and_under_another_its_own(service):
    running = service({"flowers-2": Behaviour(slow=2)})
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "shadow")
    running.store.order(1, "pause", by="Ada", why="a look")
    running.store.order(1, "resume", by="Ada", why="fine")
    kept = running.run()
    again = list(replayed_rollout(running.store, kept, kept.plan))
    assert [(each.place, each.outcome, each.sentences) for each in again] == [
        (each.where, each.outcome, each.sentences) for each in kept.state.decisions
    ]
    assert again[-1].seconds == sum(line.elapsed for line in running.store.record(1))
    longer = quick_plan(least_shadow_seconds=1000.0)
    assert "abort" not in [each.outcome for each in replayed_rollout(running.store, kept, longer)]
