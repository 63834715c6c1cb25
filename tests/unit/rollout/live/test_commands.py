"""`vitrail rollout` and its functions, from the command line in this process."""

import json
import threading

import pytest
from typer.testing import CliRunner

import vitrail
from tests.unit.rollout.live.service import Service
from vitrail.basics.errors import InputError
from vitrail.cli.main import app
from vitrail.rollout.live.claim import Overtaken


def command(*typed):
    done = CliRunner().invoke(app, ["rollout", *map(str, typed)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def running(address, versions, monkeypatch):
    monkeypatch.setenv("VITRAIL_STATE", address)
    monkeypatch.setenv("VITRAIL_VERSIONS", versions.shown)
    made = Service(address, versions)
    yield made
    made.close()


def test_a_dry_run_says_what_would_happen_and_needs_and_changes_nothing(running):
    told = command(
        "start", "flowers@2", "--dry-run", "--stage-seconds", "60", "--set", 'stages={"canary": 5, "all": 100}'
    )
    lines = told.stdout.splitlines()
    assert lines[0] == "flowers@2 would replace what answers in flowers-1"
    assert "stage    canary: 5 % of all users, and as many as control" in lines
    assert "lasts    37 min at least" in lines
    assert any(
        line.startswith("needs    requests of all users, at least: shadow 1,500, canary 4,000") for line in lines
    )
    assert lines[-1] == "next     vitrail rollout start flowers@2"
    with pytest.raises(InputError, match=r"no rollout was begun\nhint: vitrail rollout start NAME@N"):
        command("status")
    assert vitrail.plan_rollout("flowers@2").as_json()["least_requests"]["10"] == 2000


def test_a_detached_rollout_takes_orders_and_tells_where_it_stands(running):
    told = command("start", "flowers@2", "--detach", "--as", "Ada", "--set", "bake_seconds=60").stdout
    assert told.startswith("rollout 1   flowers@2 for flowers-1   verifying\n")
    assert "conducts nobody yet: a server that runs takes it up within seconds" in told
    with pytest.raises(InputError, match="rollout 1 of flowers@2 goes on"):
        command("start", "flowers@2", "--detach")
    assert "paused   (person) Ada paused it: lunch" in command("pause", "--as", "Ada", "--why", "lunch").stdout
    known = json.loads(command("status", "--json").stdout)
    assert (known["number"], known["phase"], known["paused"]["kind"]) == (1, "verifying", "person")
    with pytest.raises(InputError, match="nothing is to be promoted yet"):
        command("promote")
    command("resume", "--as", "Ada")
    command("abort", "--as", "Grace", "--why", "complaints")
    done = command("conduct", "--every", "0.1", "--quiet")
    assert done.exit_code == 1 and "abort: order: Grace ordered an abort: complaints" in done.stdout
    with pytest.raises(InputError, match="no rollout goes on: rollout 1 of flowers@2 is over: rejected"):
        command("abort")
    replayed = command("replay", "1").stdout
    assert "rollout 1 of flowers@2, replayed under its own plan" in replayed and "complaints" in replayed
    assert json.loads(command("replay", "1", "--json").stdout)["decisions"][-1]["outcome"] == "abort"


def test_a_rollout_is_continued_by_the_same_call_and_taken_over_by_another(running):
    ended, lines = threading.Event(), []
    vitrail.start_rollout("flowers@2", conduct=False, look_seconds=0.2)
    serving = threading.Thread(target=lambda: [running.servers[0].step() for _ in iter(lambda: ended.wait(0.2), True)])
    serving.start()
    first = threading.Thread(target=lambda: lines.append(_overtaken()))

    def _overtaken():
        try:
            return vitrail.start_rollout("flowers@2", emit=vitrail.nobody, look_seconds=0.2)
        except Overtaken as error:
            return error.message

    first.start()
    deadline = threading.Event()
    while vitrail.rollout_status().rollout.state.phase == "verifying":
        assert not deadline.wait(0.05)
    with pytest.raises(InputError, match="rollout 1 of flowers@2 is conducted by"):
        vitrail.conduct_rollout(emit=vitrail.nobody)
    told = []
    second = threading.Thread(target=lambda: told.append(vitrail.conduct_rollout(take_over=True, emit=vitrail.nobody)))
    second.start()
    first.join(20)
    vitrail.abort_rollout(by="Ada", why="enough")
    second.join(20)
    ended.set()
    serving.join()
    assert lines[0].startswith("another conductor has taken over rollout 1: ")
    assert told[0].result == "rejected" and told[0].is_over
