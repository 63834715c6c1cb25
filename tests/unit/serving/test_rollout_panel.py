"""The rollout in the console without a server: what the panels say of every standing, and what an order must hold."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.requests import Request

from tests.unit.serving.made_up_service import made_up_service
from tests.unit.serving.test_console import HOSTILE, text_of
from vitrail.basics.errors import VitrailError
from vitrail.rollout.decision import Moment
from vitrail.rollout.evidence import Evidence, ModelHealth, Verification
from vitrail.rollout.orders import with_order, with_pause, with_resume
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.simulation import SimulatedModel, SimulatedTraffic, _Drawn, simulated_rollout
from vitrail.rollout.standing import rollout_standing
from vitrail.rollout.state import RolloutState, begun_state
from vitrail.rollout.tick import tick
from vitrail.serving.console.rollout import RolloutConsole
from vitrail.serving.console.view import View

PLAN = RolloutSettings.gather(stages={"canary": 5, "half": 50, "all": 100}, warm_up_seconds=0.0)


class Source:
    """A rollout that was made up; keeps the orders that it gets."""

    def __init__(self, shown: Mapping[str, Any] | None) -> None:
        self._shown = shown
        self.ordered: list[tuple[Any, ...]] = []

    def shown(self) -> Mapping[str, Any] | None:
        return self._shown

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def order(self, number: int, order: str, *, by: str, why: str, place: str | None = None) -> None:
        self.ordered.append((number, order, by, why, place))


def shown(state: RolloutState, evidence: Evidence | None = None, **told: Any) -> dict[str, Any]:
    named = {"number": 3, "version": "flowers@8", "instead_of": "flowers@7", "begun_by": "Ada", "trouble": None}
    return {**rollout_standing(PLAN, state, evidence), **named, **told}


def panels(shown: Mapping[str, Any] | None) -> tuple[str, str]:
    """HTML of both panels."""
    view = View(made_up_service())
    return tuple(panel.html(view) for panel in RolloutConsole(Source(shown)).panels)  # type: ignore[return-value]


def at_stage(number: int) -> tuple[RolloutState, Evidence]:
    """In the middle of a stage, after traffic that was drawn."""
    import numpy as np

    random, state, drawn = np.random.default_rng(0), begun_state(PLAN, wall=0.0), _Drawn()
    models, traffic = (SimulatedModel(), SimulatedModel()), SimulatedTraffic(truth_share=0.2)
    for second in range(0, 60_000, 30):
        drawn = drawn.after(PLAN, state, models, traffic, 1500, random)
        decision = tick(PLAN, state, drawn.evidence(), Moment(float(second), 30.0))
        state = decision.state
        if decision.outcome == "advance":
            drawn = _Drawn()
        if state.phase == "stage" and state.stage == number and state.looks >= 3:
            return state, drawn.evidence()
    raise AssertionError(state)


def test_before_the_first_rollout_it_says_how_to_begin_one() -> None:
    standing, orders = panels(None)

    assert "vitrail rollout start" in text_of(standing)
    assert "Nothing is being rolled out" in text_of(orders)


def test_a_stage_shows_where_it_is_what_it_waits_for_and_its_evidence_with_intervals() -> None:
    state, evidence = at_stage(1)
    standing, orders = panels(shown(state, evidence))
    text = text_of(standing)

    assert "flowers@8 in place of flowers@7" in text
    assert '<li class="done">5 %</li>' in standing and '<li class="now" aria-current="step">50 %</li>' in standing
    assert '<li class="ahead">100 %</li>' in standing
    assert state.waiting and all(each in text for each in state.waiting)
    for gate in ("failures", "slow answers", "no more failures"):
        assert gate in text
    assert " points ( " in text or " points (" in text
    offered = [name for name in ("pause", "resume", "promote", "abort") if f'value="{name}"' in orders]
    assert offered == ["pause", "promote", "abort"]


def test_one_that_failed_shows_where_and_why_and_takes_no_orders() -> None:
    bad = simulated_rollout(
        PLAN, SimulatedModel(), SimulatedModel(failure_rate=0.3), SimulatedTraffic(), seed=1
    ).last.state  # fmt: skip
    standing, orders = panels(shown(bad))

    assert bad.result == "rejected" and "rejected" in text_of(standing)
    assert '<li class="failed">shadow</li>' in standing
    assert bad.decisions[-1].sentences[0] in text_of(standing)
    assert "<button" not in orders


def test_a_pause_is_a_notice_and_offers_to_resume() -> None:
    state = with_pause(PLAN, begun_state(PLAN, wall=0.0), by="Ada", why="the ward round", wall=1.0)
    standing, orders = panels(shown(state))

    assert "Ada paused it: the ward round" in text_of(standing) and "paused in verifying" in text_of(standing)
    assert 'value="resume"' in orders and 'value="promote"' not in orders


@pytest.mark.parametrize("stage", [None, 0, 1])
def test_whatever_may_be_ordered_is_obeyed_and_nothing_else(stage: int | None) -> None:
    running = begun_state(PLAN, wall=0.0) if stage is None else at_stage(stage)[0]
    for state in (running, with_pause(PLAN, running, by="Ada", why="", wall=0.0)):
        offered = shown(state)["orders"]
        for order in ("pause", "resume", "promote", "abort"):
            try:
                if order == "pause":
                    obeyed = state.pause is None
                elif order == "resume":
                    obeyed = with_resume(PLAN, state, by="Ada", why="", wall=0.0) is not None
                else:
                    obeyed = with_order(PLAN, state, order, by="Ada", why="", wall=0.0) is not None  # type: ignore[arg-type]
            except VitrailError:
                obeyed = False
            assert (order in offered) == obeyed, (state.phase, order)


def test_nothing_in_it_is_taken_for_markup() -> None:
    state = with_pause(PLAN, begun_state(PLAN, wall=0.0), by=HOSTILE, why=HOSTILE, wall=1.0)
    standing, orders = panels(shown(state, version=HOSTILE, instead_of=HOSTILE, begun_by=HOSTILE, trouble=HOSTILE))

    assert "<script>" not in standing + orders and "<img" not in standing + orders


def test_a_candidate_whose_package_is_another_one_failed_while_it_was_verified() -> None:
    fine = ModelHealth("ready", healthy=True)
    evidence = Evidence(fine, fine, verification=Verification(False, "the package was changed"))
    state = tick(PLAN, begun_state(PLAN, wall=0.0), evidence, Moment(1.0, 1.0)).state
    standing, _ = panels(shown(state, evidence))

    assert '<li class="failed">verify</li>' in standing and "the package was changed" in text_of(standing)


def sent(content: bytes, kind: str = "application/json") -> tuple[Any, list[tuple[Any, ...]]]:
    """The answer to an order, or why it was refused; and what the rollout was told."""
    source = Source(None)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    scope = {
        "type": "http", "method": "POST", "path": "/console/rollout", "query_string": b"",
        "headers": [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())],
    }  # fmt: skip
    try:
        return asyncio.run(RolloutConsole(source).ordered(Request(scope, receive))), source.ordered
    except VitrailError as error:
        return error, source.ordered


def test_an_order_reaches_the_rollout_from_a_program_and_from_a_page_without_scripts() -> None:
    told = {"number": 3, "order": "abort", "by": " Ada ", "why": "wrong ward", "place": "stage 25"}
    by_program, ordered = sent(json.dumps(told).encode())
    by_form, also = sent(
        b"number=3&order=abort&by=+Ada+&why=wrong+ward&place=stage+25", "application/x-www-form-urlencoded"
    )

    assert ordered == also == [(3, "abort", "Ada", "wrong ward", "stage 25")]
    assert by_program.status_code == 202
    assert by_form.status_code == 303 and by_form.headers["location"] == "../#rollout"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (b"{}", "this is no order"), (b"[1]", "this is no order"), (b"\xff", "this is no order"),
        (b"[" * 5000, "this is no order"),
        (b'{"number": "x", "order": "pause", "by": "Ada"}', "this is no order"),
        (b'{"number": 1e400, "order": "pause", "by": "Ada"}', "this is no order"),
        (b'{"number": 9999999999, "order": "pause", "by": "Ada"}', "this is no order"),
        (b'{"number": true, "order": "abort", "by": "Ada", "why": "no"}', "this is no order"),
        (b'{"number": 3, "order": ["pause"], "by": "Ada"}', "there is no order"),
        (b'{"number": 3, "order": "restart", "by": "Ada"}', "there is no order 'restart'"),
        (b'{"number": 3, "order": "pause", "by": " "}', "who orders it is missing"),
        (b'{"number": 3, "order": "abort", "by": "Ada"}', "why is missing"),
    ],
)  # fmt: skip
def test_what_is_no_order_is_refused_in_words(told: bytes, why: str) -> None:
    refusal, ordered = sent(told)

    assert why in refusal.message and ordered == []
