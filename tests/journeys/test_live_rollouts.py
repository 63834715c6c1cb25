"""A server under a load of users while candidates are rolled out, stopped, killed with their conductor and aborted."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

import vitrail
from tests.journeys.test_report_in_browser import browser as browser
from tests.live_rollouts import Registered, loaded_server, tried
from tests.load import Load
from tests.serving import Server

RATE = 120.0
PLAN: dict[str, Any] = {
    "stages": {"half": 50, "all": 100}, "warm_up_seconds": 1.0, "least_stage_seconds": 3.0, "least_looks": 1,
    "bake_seconds": 2.0, "least_shadow_seconds": 3.0, "least_pairs": 100,
}  # fmt: skip


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    return Registered(tmp_path_factory.mktemp("versions"))


@pytest.fixture(scope="module")
def state(registered: Registered) -> str:
    return str(registered.folder / "serve.sqlite")


@pytest.fixture(scope="module")
def served(registered: Registered, state: str) -> Iterator[tuple[Server, Load]]:
    environment = {"VITRAIL_VERSIONS": registered.address}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with loaded_server(registered, state=state, per_second=RATE, feedback=0.0) as found:
            yield found


def test_permuted_labels_never_reach_a_user(registered: Registered, served: tuple[Server, Load], state: str) -> None:
    found = tried("permuted", registered, served[1], state=state, **PLAN)

    assert (found.result, found.where, found.failed, found.answered) == ("rejected", "shadow", 0, 0)
    assert "the candidate agrees with the stable model on" in found.why
    shown = vitrail.versions("colours@2", store=registered.address).versions[0]
    assert shown.state == "rejected" and shown.aliases == ()


def test_a_good_candidate_reaches_everybody_and_no_request_fails(
    registered: Registered, served: tuple[Server, Load], state: str
) -> None:
    _, load = served
    found = tried("good", registered, load, state=state, **PLAN)

    assert (found.result, found.failed) == ("success", 0), found
    since = time.monotonic()
    load.until_true(lambda: len(load.since(since)) > 50)
    assert {each.model for each in load.since(since)} == {"colours-3"}
    aliases = {each.id: each.aliases for each in vitrail.versions("colours", store=registered.address).versions}
    assert aliases == {"colours@1": ("previous",), "colours@2": (), "colours@3": ("stable",)}
    moves = _moves(load)
    assert set(moves.values()) == {1}  # every user came to it once, and stayed


def _moves(load: Load) -> dict[str, int]:
    """Of users who asked before the candidate and after it was there: how often another model answered than before."""
    models: dict[str, list[str]] = {}
    for each in load.asked:
        if not models.setdefault(each.user, []) or models[each.user][-1] != each.model:
            models[each.user].append(each.model)
    return {user: len(seen) - 1 for user, seen in models.items() if seen[0] != "colours-3" and seen[-1] == "colours-3"}


def test_a_conductor_is_killed_and_another_goes_on_until_a_button_sends_the_users_back_within_a_second(
    registered: Registered, served: tuple[Server, Load], state: str, browser: Any
) -> None:
    server, load = served
    first = len(load.asked)
    version = registered.candidate("leaking")  # whose fault is not in this server's environment: a good one
    vitrail.start_rollout(
        version, state=state, store=registered.address, conduct=False, by="Ada", emit=vitrail.nobody,
        **{**PLAN, "look_seconds": 0.5, "least_stage_seconds": 600.0, "shadow_share": 0.0},
    )  # fmt: skip
    load.until_true(lambda: _rollout(state).state.phase == "stage", seconds=60)
    killed = _rollout(state).holder
    assert killed is not None
    os.kill(int(killed.rpartition(" ")[2]), signal.SIGKILL)
    load.until_true(lambda: _rollout(state).holder != killed and _rollout(state).state.looks > 0, seconds=60)
    page, complaints = _page(browser, server)
    page.wait_for_selector("#rollout .steps .now")
    assert page.inner_text("#rollout .steps .now") == "50 %"
    page.fill("#orders [name=by]", "Grace")
    page.fill("#orders [name=why]", "a wrong ward")
    page.click("#orders [value=abort]")
    load.until_true(lambda: _rollout(state).is_closed)
    decided = _rollout(state).state.decisions[-1]
    page.wait_for_selector("#rollout .steps .failed")
    assert "Grace ordered an abort: a wrong ward" in page.inner_text("#rollout")
    assert page.locator("#orders button").count() == 0
    assert complaints == []
    page.close()

    asked, model = load.asked[first:], version.replace("@", "-")
    assert (decided.outcome, _rollout(state).state.result) == ("abort", "canary_failed")
    assert [each.status for each in asked if each.status != 200] == []
    late = max(each.at for each in asked if each.model == model) - (time.monotonic() - (time.time() - decided.at))
    assert late < 1.0  # seconds after the decision, in which the last user was sent to it


def _rollout(state: str) -> Any:
    return vitrail.rollout_status(state=state).rollout


def _page(browser: Any, server: Server) -> tuple[Any, list[str]]:
    page, complaints = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/")
    return page, complaints


def test_whoever_has_no_key_orders_nothing(served: tuple[Server, Load], state: str) -> None:
    server, _ = served
    told = b'{"number": 3, "order": "abort", "by": "Eve", "why": "fun"}'
    refused = server.request("POST", "/console/rollout", told, content_type="application/json", origin="http://evil")

    assert refused.status == 403
    over = server.request("POST", "/console/rollout", told, content_type="application/json")
    assert (over.status, over.code) == (400, "bad_request") and "the rollout is over" in over.json["error"]["message"]
