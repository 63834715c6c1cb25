"""The routes of every step: users move only into canary and control, into the candidate, or back."""

from collections import Counter
from random import Random

import pytest

from tests.unit.rollout.looks import begun, look, small_plan, ticked
from vitrail.basics.errors import InputError
from vitrail.rollout.decision import route_step
from vitrail.rollout.routes_of import rollout_arms, routes_of
from vitrail.traffic.assignment import assigned_arm, shadow_arms
from vitrail.traffic.routes import Arm, Routes

USERS = [f"user {number}" for number in range(3000)]
ONE = Routes(7, (Arm("stable", "flowers-6", weight=100.0),), salt="a")
TWO = Routes(3, (Arm("big", "flowers-6", weight=80.0), Arm("small", "lite-2", weight=20.0)))


def models(routes: Routes) -> dict[str, str]:
    """The model that answers each user."""
    return {user: assigned_arm(routes, user, Random(0)).model for user in USERS}


def names(routes: Routes) -> dict[str, str]:
    return {user: assigned_arm(routes, user, Random(0)).name for user in USERS}


def step(arms, name, share=0.0, revision=8) -> Routes:
    return routes_of(arms, name, share=share, revision=revision, note="why")


def test_loading_and_shadow_move_nobody_and_only_the_shadow_copies() -> None:
    arms = rollout_arms(ONE, "flowers-7")
    loaded, shadow = step(arms, "loaded"), step(arms, "shadow", 0.2)
    assert "flowers-7" in loaded.models and not any(shadow_arms(loaded, user) for user in USERS)
    copied = sum(len(shadow_arms(shadow, user)) for user in USERS)
    assert 480 < copied < 720
    assert models(loaded) == models(shadow) == models(ONE)


@pytest.mark.parametrize("base", [ONE, TWO])
def test_as_stages_grow_users_only_join_canary_and_control_and_both_are_equal(base: Routes) -> None:
    arms = rollout_arms(base, "flowers-7", replaces=base.arms[0].name)
    before = names(base)
    for share in (0.05, 0.1, 0.25, 0.5):
        routes = step(arms, "split", share)
        after = names(routes)
        moved = {user: arm for user, arm in after.items() if arm != before[user]}
        assert set(moved.values()) <= {"canary", "control"}
        count = Counter(after.values())
        assert count["canary"] == pytest.approx(3000 * share, rel=0.25)
        assert count["control"] == pytest.approx(3000 * share, rel=0.25)
        assert {arm.model for arm in routes.arms if arm.role == "control"} == {"flowers-6"}
        before = after


@pytest.mark.parametrize("base", [ONE, TWO])
def test_promotion_gives_the_candidate_to_those_who_had_the_replaced_arm_and_moves_nobody_else(base: Routes) -> None:
    arms = rollout_arms(base, "flowers-7", replaces=base.arms[0].name)
    promoted = step(arms, "promoted")
    assert names(promoted) == names(base)
    stood, now = models(base), models(promoted)
    assert all(now[user] == ("flowers-7" if stood[user] == "flowers-6" else stood[user]) for user in USERS)
    previous = promoted.arms[-1]
    assert (previous.model, previous.role, previous.weight) == ("flowers-6", "stable", 0.0)


@pytest.mark.parametrize("base", [ONE, TWO])
def test_an_abort_brings_everybody_back_to_what_they_had(base: Routes) -> None:
    arms = rollout_arms(base, "flowers-7", replaces=base.arms[0].name)
    back = step(arms, "stable", revision=12)
    assert (back.arms, back.salt, back.fallback, back.revision) == (base.arms, base.salt, base.fallback, 12)
    assert (back.by, back.note) == ("rollout", "why")


@pytest.mark.parametrize("base", [ONE, TWO])
def test_over_a_whole_rollout_a_user_gets_the_candidate_once_and_keeps_it(base: Routes) -> None:
    plan, routes, history = small_plan(), base, []
    arms = rollout_arms(base, "flowers-7", replaces=base.arms[0].name)
    state, n = begun(plan), 0
    while not state.is_over:
        n += 100
        decision = ticked(plan, state, look(n))
        n, state = (0 if decision.outcome == "advance" else n), decision.state
        if decision.routes is not None:
            assert decision.routes == route_step(plan, state)[0]
            share = route_step(plan, state)[1]
            routes = step(arms, decision.routes, share, revision=routes.revision + 1)
            history.append(models(routes))
    assert state.result == "success" and routes.revision == base.revision + 7
    stood = models(base)
    for user in USERS:
        had = [each[user] == "flowers-7" for each in history]
        replaced = stood[user] == "flowers-6"
        in_a_canary = any(had[:-1])
        assert had[:-1] == sorted(had[:-1])  # once it is the candidate, it stays while stages grow
        assert had[-1] == replaced and (replaced or not in_a_canary or len(base.arms) > 1)


def test_the_second_rollout_lets_go_what_the_first_kept_warm_but_not_before_it_is_over() -> None:
    first = step(rollout_arms(ONE, "flowers-7"), "promoted")
    arms = rollout_arms(first, "flowers-8")
    assert "flowers-6" in step(arms, "split", 0.1).models
    second = step(arms, "promoted", revision=20)
    assert [(arm.name, arm.model) for arm in second.arms] == [
        ("stable", "flowers-8"), ("stable-previous", "flowers-7")
    ]  # fmt: skip


def test_models_that_were_named_to_fall_back_on_stay_and_the_candidate_joins_them_when_it_stands() -> None:
    base = Routes(3, TWO.arms, fallback=("lite-2", "flowers-6"))
    arms = rollout_arms(base, "flowers-7", replaces="big")
    assert step(arms, "split", 0.1).fallback == ("lite-2", "flowers-6")
    assert step(arms, "promoted").fallback == ("lite-2", "flowers-7", "flowers-6")


def test_names_that_are_taken_are_not_taken_twice() -> None:
    base = Routes(1, (Arm("canary", "flowers-6", weight=1.0), Arm("shadow", "other", "shadow", share=0.1)))
    arms = rollout_arms(base, "flowers-7")
    assert (arms.canary, arms.control, arms.shadow, arms.previous) == (
        "canary-2", "control", "shadow-2", "canary-previous"
    )  # fmt: skip
    assert step(arms, "split", 0.05).revision == 8 and step(arms, "shadow", 0.05).revision == 8


def test_a_rollout_on_routes_that_do_not_suit_is_refused_in_words() -> None:
    busy = step(rollout_arms(ONE, "flowers-7"), "split", 0.05)
    with pytest.raises(InputError, match=r"^revision 8 has the arms canary, control: another candidate is being tr"):
        rollout_arms(busy, "flowers-8")
    with pytest.raises(InputError, match=r"^flowers-6 serves already, in the arm stable\nhint: nothing"):
        rollout_arms(ONE, "flowers-6")
    with pytest.raises(InputError, match=r"^2 stable arms have traffic\nhint: say which is replaced: big, small"):
        rollout_arms(TWO, "flowers-7")
    with pytest.raises(InputError, match=r"^bigg is no stable arm with traffic\nhint: did you mean big\?"):
        rollout_arms(TWO, "flowers-7", replaces="bigg")
