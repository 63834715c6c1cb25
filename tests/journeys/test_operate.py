"""A version that got worse, as its operators live through it: real images and models, figures and servers by hand."""

import contextlib
import json
import os
import signal
import time

import pytest
import yaml

import vitrail as python
from tests.operating import Serving, write_table
from tests.processes import running
from tests.processes import vitrail as typed
from tests.unit.monitoring.false_clock import FalseClock
from tests.unit.rollout.live.service import HandServer, quick_plan
from vitrail.rollout.live.claim import waited_claim
from vitrail.rollout.live.conductor import conductor_of
from vitrail.rollout.live.living_servers import LivingServers
from vitrail.rollout.live.rollout_store import RolloutStore
from vitrail.rollout.operating.proposal_store import ProposalStore

FIT = {"preset": "quick", "image_size": 48, "pretrained": False, "device": "cpu"}
AS_ADA, AS_BOB = (("--as", name, "--note", "read its evidence") for name in ("Ada", "Bob"))


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Data with a rare site, a fitted version that serves for an hour, and a policy."""
    monkeypatch.chdir(tmp_path)
    data, held_out = (
        write_table(tmp_path / "data", 24, seed=10_000, rare=0.2),
        write_table(tmp_path / "held-out", 24, seed=50_000),
    )
    python.fit(data, model="test_vit", out=tmp_path / "stable", workers=0, emit=python.nobody, **FIT)
    serving = Serving(tmp_path, tmp_path / "stable", ago=4000.0)
    admission = {
        "device": "cpu", "attack_images": 8, "most_slowdown": 9.0, "admit_without_evidence": True,
        "may_be_missing": ["distribution_shift"],  # so few images say nothing of what is usual
    }  # fmt: skip
    policy = {
        "name": "colours", "state": serving.state, "store": serving.store, "data": str(data),
        "held_out": str(held_out),
        "feedback_images": [str(tmp_path / "kept")], "model": "test_vit", "fit": {**FIT, "seed": 3},
        "mitigation": "reweighting", "window_seconds": 100.0, "approvers": ["Ada", "Bob"],
        "runs": str(tmp_path / "runs"),
        "admission": "admission.yaml", "rollout": "rollout.yaml",
    }  # fmt: skip
    plan = quick_plan(shadow_share=0.0, needs_signature=True).model_dump(mode="json")
    for name, content in (("operate", policy), ("admission", admission), ("rollout", plan)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    yield serving
    serving.close()


def conducted(serving):
    """The servers and a conductor, until the rollout is over."""
    clock = FalseClock(wall=serving.now)
    store = RolloutStore(serving.database, clock.wall)
    server = HandServer("one", serving.database, clock, {}, truths=False)
    number = store.current().number
    claim = waited_claim(store, number, holder="here", clock=clock, take_over=True, wait=clock.go_on)
    conductor = conductor_of(claim, serving.database, LivingServers(clock, settle_seconds=0.0), clock)
    for _ in range(200):
        server.step()
        clock.go_on(5.0)
        kept = conductor.step().kept
        if kept is not None and kept.is_closed:
            serving.now = clock.wall()
            return kept
    raise AssertionError("the rollout goes on")


class Killed(BaseException):
    """Nobody catches it, as nobody catches kill -9."""


def killed_before_every_line(monkeypatch):
    """Whoever writes that a proposal came to a new state is killed the first time; gives these states."""
    write, killed = ProposalStore.advance, []

    def advance(self, proposal, state, **said):
        if state not in killed:
            killed.append(state)
            raise Killed
        return write(self, proposal, state, **said)

    monkeypatch.setattr(ProposalStore, "advance", advance)
    return killed


def passes(most=10):
    """Pass after pass, each ended by a kill, until one is not."""
    for _ in range(most):
        with contextlib.suppress(Killed):
            return python.operate("operate.yaml", once=True, workers=0, emit=python.nobody)
    raise AssertionError("it is killed again and again")


@pytest.mark.slow
def test_shift_a_group_that_fails_and_permuted_feedback_each_open_a_proposal_and_one_becomes_the_new_stable(
    vitrail, world, tmp_path, monkeypatch
):  # fmt: skip
    run = ("operate", "run", "--once", "--quiet", "--workers", "0")
    assert "nothing is wrong" in vitrail(*run).out

    # Shift is proposed and declined, and stays declined.
    world.report_shift(seen=500, unlike=200, p_value=1e-9)
    opened = vitrail(*run)
    assert "proposal 1  shift of colours@1: proposed" in opened.out and "of 500, 40.0 %" in opened.out
    declined = vitrail("operate", "decline", "1", "--as", "Bob", "--why", "a new lamp, all images were right")
    assert declined.code == 0 and "declined     Bob: a new lamp" in declined.out
    assert "nothing is wrong that was not before" in vitrail(*run).out

    # A group that fails is proposed; approved, its fit is killed, and every later step twice.
    for _ in range(8):
        world.tell(0.0, times=12, site="a", keep=tmp_path / "kept")
        world.tell(0.5, times=6, site="b", keep=tmp_path / "kept")
        world.now += 300
    opened = vitrail(*run)
    assert "proposal 2  fairness of colours@1 (site=b): proposed" in opened.out, opened.out
    assert "Feedback agrees with 83.3 % of 144 answers: more than by chance." in opened.out
    assert vitrail("operate", "approve", "2", "--as", "Eve", "--note", "go").code == 2
    assert vitrail("operate", "approve", "2", *AS_ADA).code == 0
    with running(typed, *run, printed=tmp_path / "printed") as under_way:
        deadline = time.monotonic() + 60
        while not (tmp_path / "runs" / "colours-proposal-2" / "journal.jsonl").exists():
            assert under_way.poll() is None and time.monotonic() < deadline, (tmp_path / "printed").read_text()
            time.sleep(0.01)
        os.killpg(under_way.pid, signal.SIGKILL)
    killed = killed_before_every_line(monkeypatch)
    told = passes()
    assert told.lines()[-1].startswith("proposal 2 waits: `vitrail operate sign 2"), told
    assert "Fitted on 72 images" in repr(python.operate_status("operate.yaml", 2))
    assert "30 from feedback (left out: 114 more than the share that feedback may have)" in repr(
        python.operate_status("operate.yaml", 2)
    )
    assert python.versions("colours@2", store=world.store).versions[0].state == "admitted"
    proposal = json.loads(vitrail("operate", "status", "2", "--json").out)["proposals"][0]
    admitted = proposal["history"][-1]
    before_after = admitted["before_after"]["attributes"]["site"]["accuracy gap"]
    assert set(before_after) == {"before", "after"} and before_after["after"]["n"] == 72
    assert '"reweight_by": "site"' in (tmp_path / "runs" / "colours-proposal-2" / "settings.json").read_text()

    # Nobody is served by it before somebody signs; then it is rolled out, and is the new stable.
    assert RolloutStore(world.database, time.time).rollouts(5) == []
    signed = vitrail("operate", "sign", "2", *AS_BOB)
    assert signed.code == 0 and "colours@2 is signed by Bob: `vitrail operate run` begins its rollout" in signed.out
    passes()
    assert len(RolloutStore(world.database, time.time).rollouts(5)) == 1
    assert conducted(world).state.result == "success"
    passes()
    done = python.operate_status("operate.yaml", 2).proposals[0]
    assert done.state == "done" and done.line_of("signed").by == "Bob"
    assert python.versions("colours@stable", store=world.store).versions[0].number == 2
    assert killed == ["fitted", "registered", "admitted", "signed", "rolling out", "done"]
    assert [each.facts["state"] for each in done.lines] == ["proposed", "approved", "gathered", *killed]

    # Permuted feedback opens a proposal that says so, and is not trained on unless somebody wants it.
    world.tell(0.0, times=120, shift_names=1)
    opened = vitrail(*run)
    assert "proposal 3  accuracy of colours@2: proposed" in opened.out, opened.out
    assert "The feedback, not the model, may be wrong: it agrees with 0.0 % of 120 answers" in opened.out
    assert "Names look exchanged: what the model calls “blue” is called “green”" in opened.out
    assert "It is proposed without feedback; whoever approves may say otherwise." in opened.out
    assert not python.operate_status("operate.yaml", 3).proposals[0].uses_feedback
