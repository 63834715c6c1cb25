"""Conductors that are killed, replaced or cut off: the rollout goes on rightly, and no stage is passed over."""

import itertools
import os
from collections import Counter

import pytest

from tests.serving import at_once
from tests.unit.rollout.live.service import Behaviour, phases_of, quick_plan
from tests.unit.rollout.live.test_conductor import EVERY_PHASE, models_of
from vitrail.basics.database import opened_database
from vitrail.basics.errors import InputError
from vitrail.rollout.live.claim import Claim, Overtaken, Silence, claimed, heard_of, waited_claim
from vitrail.rollout.live.rollout_store import RolloutStore
from vitrail.rollout.version_store import VersionStore
from vitrail.traffic.routes import COMMAND_LINE
from vitrail.traffic.routes_store import RoutesStore


class Killed(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


@pytest.fixture
def killed_everywhere(monkeypatch):
    """Every write is killed before it is made, and killed after it was made; only the third attempt goes on."""
    attempts: Counter[str] = Counter()
    kills: Counter[str] = Counter()

    def armed(kind, name, key):
        original = getattr(kind, name)

        def call(self, *given, **named):
            place = key(self, *given, **named)
            if place is None:
                return original(self, *given, **named)
            attempts[place] += 1
            if attempts[place] == 1:
                kills["before"] += 1
                raise Killed
            done = original(self, *given, **named)
            if attempts[place] == 2:
                kills["after"] += 1
                raise Killed
            return done

        monkeypatch.setattr(kind, name, call)

    def arms(_, routes, **__):
        return None if routes.by == COMMAND_LINE else f"routes {[arm.as_json() for arm in routes.arms]}"

    armed(RoutesStore, "write", arms)
    armed(VersionStore, "add", lambda self, which, kind, **_: kind)
    armed(VersionStore, "set_state", lambda self, which, state, **_: state)
    armed(VersionStore, "set_alias", lambda self, which, alias, **_: alias)
    armed(Claim, "close", lambda self: "close")
    ticked = Claim.tick

    def tick(self, seen):
        before = self.read().state
        kept, decision = ticked(self, seen)  # in one transaction: before it is as if it had not been asked
        place = f"tick in {before.phase} {before.stage}: {decision.outcome}"
        attempts[place] += 1
        if attempts[place] == 1 and decision.outcome != "wait":
            kills["after"] += 1
            raise Killed
        return kept, decision

    monkeypatch.setattr(Claim, "tick", tick)
    return kills


@pytest.mark.parametrize(
    ("behaviour", "result", "least"), [(Behaviour(), "success", 25), (Behaviour(slow=2), "canary_failed", 14)]
)
def test_killed_at_every_transition_it_goes_on_rightly_and_passes_no_stage_over(
    service, versions, killed_everywhere, behaviour, result, least
):
    running = service({"flowers-2": behaviour})
    prepared = running.begin()
    for _ in range(300):
        try:
            running.step()
        except Killed:
            running.conductor = None  # the next one begins with what is kept
        if running.kept.is_closed:
            break
    kept = running.store.rollout(prepared.number)
    assert (kept.state.result, kept.is_closed) == (result, True)
    assert sum(killed_everywhere.values()) >= least, killed_everywhere
    phases = phases_of(running.store, kept)
    assert phases == EVERY_PHASE if result == "success" else phases == EVERY_PHASE[:4]
    assert models_of(running) == {"flowers-2" if result == "success" else "flowers-1": 1.0}
    history = versions.version("flowers@2").history
    assert len([each for each in history if each.kind == "rollout"]) == 1
    assert [each.facts["state"] for each in history if each.kind == "state"][-1] in ("rolled out", "rejected")
    assert len([each for each in history if each.kind == "state"]) == 2
    revisions = [each.routes for each in reversed(running.routes.history(50))]
    assert all(one.arms != other.arms for one, other in itertools.pairwise(revisions))


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_of_two_conductors_the_older_writes_nothing_more(service):
    running = service()
    running.begin()
    old = running.conduct()
    running.step()
    new = running.conduct()
    running.step()
    before = running.kept
    for write in (old.step, old.heard):
        with pytest.raises(Overtaken, match="another conductor has taken over rollout 1: here"):
            write()
    assert running.kept == before
    running.conductor = new
    assert running.run().state.result == "success"


def test_a_conductor_that_lives_is_not_replaced_one_that_is_silent_is_and_who_takes_over_does_not_wait(service):
    running = service()
    running.begin()
    claim = running.claim()

    def wait(seconds):
        running.clock.go_on(seconds)
        if lives:
            claim.beat()

    lives = True
    with pytest.raises(InputError, match="rollout 1 of flowers@2 is conducted by here"):
        waited_claim(running.store, 1, holder="there", clock=running.clock, wait=wait)
    last = running.kept
    again = waited_claim(
        running.store,
        1,
        holder="there",
        clock=running.clock,
        silent=heard_of(last),
        wait=lambda _: pytest.fail("waits"),
    )
    assert again.read().fence == last.fence + 1
    lives, began = False, running.clock.monotonic()
    waited_claim(running.store, 1, holder="there", clock=running.clock, wait=wait).beat()
    assert 10 <= running.clock.monotonic() - began <= 11
    waited_claim(running.store, 1, holder="elsewhere", clock=running.clock, take_over=True, wait=wait).release()
    assert running.kept.holder is None and Silence(running.clock, seconds=10.0).is_silent(running.kept)


def test_of_two_who_claim_at_once_one_is_refused(service):
    running = service()
    kept = running.begin()
    running.claim()
    with pytest.raises(InputError, match="is conducted by"):
        claimed(running.store, kept, holder="late", clock=running.clock)


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_one_rollout_at_a_time_is_begun(service):
    running = service()
    running.begin()
    with pytest.raises(InputError, match=r"rollout 1 of flowers@2 goes on: one candidate is tried at a time\nhint: "):
        running.begin()


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_of_two_that_are_begun_at_once_one_is_refused_in_words(service, address):
    running = service()
    version, base = running.versions.version("flowers@2"), running.routes.latest()
    databases = [opened_database(address) for _ in range(4)]
    stores = [RolloutStore(each, running.clock.wall) for each in databases]
    found = at_once(lambda n: stores[n].begin(version, base, plan=quick_plan(), by="Ada", versions=""), 4)
    for each in databases:
        each.close()
    refused = [each for each in found if isinstance(each, InputError)]
    assert len(refused) == 3 and all("goes on: one candidate is tried at a time" in each.message for each in refused)
    assert [each.number for each in running.store.rollouts(9)] == [1]


def test_while_the_database_is_away_nothing_moves_and_then_it_goes_on(service, tmp_path):
    running = service()
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    before = running.kept.state
    place, elsewhere = tmp_path / "serve.sqlite", tmp_path / "elsewhere"
    running.conductor.step()
    os.rename(place, elsewhere)
    for _ in range(3):
        running.clock.go_on(5.0)
        done = running.conductor.step()
        assert done.kept is None
        running.told += done.told
    assert running.conductor.heard() is None
    os.rename(elsewhere, place)
    assert running.kept.state.stage == before.stage
    assert running.run().state.result == "success"
    away = [each for each in running.told if each.startswith(("waits: ", "goes on: "))]
    assert len(away) == 2 and "unable to open database file" in away[0] and away[1] == "goes on: what was away is back"


def test_while_the_version_store_is_away_users_have_the_result_and_it_is_told_later(service, versions, tmp_path):
    running = service({"flowers-2": Behaviour(slow=2)})
    running.begin()
    running.run(until=lambda kept: kept.state.phase == "stage")
    place, version = tmp_path / "versions" / "versions.sqlite", versions.version("flowers@2")
    base = running.routes.latest()
    place.rename(tmp_path / "elsewhere")
    place.mkdir()  # nothing is made anew there
    for _ in range(20):
        running.step()
    assert models_of(running) == {"flowers-1": 1.0} and not running.kept.is_closed
    said = r"rollout 1 of flowers@2 is over \(canary_failed\), and its version store is not told yet\nhint: "
    with pytest.raises(InputError, match=said):
        running.store.begin(version, base, plan=quick_plan(), by="Ada", versions="")
    place.rmdir()
    running.step()
    assert running.told[-1] == f"waits: {place}: the version store is not there" and not place.exists()
    (tmp_path / "elsewhere").rename(place)
    running.run()
    assert versions.version("flowers@2").state == "rejected"


def test_clocks_that_jump_by_days_change_no_decision(service, versions, tmp_path):
    days = iter(range(1, 10_000))

    def jumping() -> float:
        return 1_700_000_000.0 + 86_400.0 * (-1) ** next(days)

    def decisions(kept):
        return [(each.where, each.outcome, each.sentences) for each in kept.state.decisions]

    found = []
    for wall, days_off in ((None, 0.0), (jumping, -1.0), (jumping, 1.0)):
        running = service({"flowers-2": Behaviour(slow=2)}, wall=wall, servers=("one", "two"))
        running.servers[1].clock_off = days_off * 86_400.0
        running.begin()
        found.append(decisions(running.run(most=100)))
        versions.set_state("flowers@2", "admitted", by="Ada")
        running.close()
        (tmp_path / "serve.sqlite").unlink()
    assert found[0] == found[1] == found[2] and found[0][-1][:2] == ("canary", "abort")
