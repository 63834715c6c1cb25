"""A server begins a conductor where a rollout goes on and nobody conducts it, and takes it along when it ends."""

import subprocess
import sys

import pytest

from vitrail.basics.errors import InputError
from vitrail.rollout.live.addresses import address_of_versions, opened_state_of_servers
from vitrail.rollout.live.watched_rollout import WatchedRollout
from vitrail.rollout.live.watcher import Watcher


class Children:
    """Processes that wait for the end of their input, in place of conductors."""

    def __init__(self, code="import sys; sys.stdin.read()"):
        self.begun, self._code = [], code

    def __call__(self, address, kept):
        child = subprocess.Popen([sys.executable, "-S", "-c", self._code], stdin=subprocess.PIPE)
        self.begun.append((address, kept.number, child))
        return child


def watcher_of(running, children):
    return Watcher(running.database, "sqlite:///here", running.clock, begin=children)


def test_a_rollout_that_nobody_conducts_is_taken_up_once_and_ends_with_the_server(service):
    running, children = service(), Children()
    watcher = watcher_of(running, children)
    watcher.look_once()
    assert not children.begun  # there is none
    running.begin()
    for _ in range(3):
        watcher.look_once()
    ((address, number, child),) = children.begun
    assert (address, number, child.poll()) == ("sqlite:///here", 1, None)
    watcher.stop()
    assert child.returncode == 0


def test_one_whose_conductor_lives_is_left_alone_until_it_is_silent(service):
    running, children = service(), Children()
    watcher = watcher_of(running, children)
    running.begin()
    claim = running.claim()
    for _ in range(20):
        watcher.look_once()
        claim.beat()
        running.clock.go_on(2.0)
    for _ in range(5):
        watcher.look_once()
        running.clock.go_on(2.0)
    assert not children.begun
    running.clock.go_on(2.0)
    watcher.look_once()
    assert len(children.begun) == 1
    watcher.stop()


def test_one_that_had_to_give_up_is_begun_again_only_after_a_minute_and_a_killed_one_at_once(service):
    running, children = service(), Children("import sys; sys.exit(2)")
    watcher = watcher_of(running, children)
    running.begin()
    for seconds, begun in ((0.0, 1), (2.0, 1), (50.0, 1), (11.0, 2)):
        running.clock.go_on(seconds)
        watcher.look_once()
        assert len(children.begun) == begun
        children.begun[-1][2].wait(20)
    running.clock.go_on(100.0)
    watcher.look_once()
    watcher.look_once()
    watcher.stop()
    killed = Children()
    watcher = watcher_of(running, killed)
    watcher.look_once()
    killed.begun[0][2].kill()
    killed.begun[0][2].wait(20)
    watcher.look_once()
    assert len(killed.begun) == 2
    watcher.stop()


def test_while_the_database_is_away_nothing_is_begun_and_what_is_shown_says_so(service, tmp_path):
    running, children = service(), Children()
    watcher = watcher_of(running, children)
    running.begin()
    (tmp_path / "serve.sqlite").rename(tmp_path / "elsewhere")
    (tmp_path / "serve.sqlite").mkdir()
    watcher.look_once()
    assert not children.begun
    watched = WatchedRollout(str(tmp_path / "elsewhere"))
    watched._watcher.look_once()
    shown = watched.shown()
    assert shown is not None and (shown["number"], shown["trouble"]) == (1, None)
    (tmp_path / "elsewhere").unlink()
    watched._watcher.look_once()
    shown = watched.shown()
    assert shown is not None and "how it stands now is not known" in shown["trouble"]
    watched.stop()


def test_a_password_of_the_version_store_is_kept_nowhere_and_must_be_said_again(monkeypatch):
    monkeypatch.delenv("VITRAIL_VERSIONS", raising=False)
    url, kept = "postgresql://ada:secret@db.example/versions", "postgresql://ada:***@db.example/versions"
    assert address_of_versions(kept, url) == url
    with pytest.raises(InputError) as refused:
        address_of_versions(kept, "postgresql://ada:secret@db.example/another")
    assert refused.value.message == f"the version store of this rollout is {kept}, and its password is not kept"
    assert refused.value.hint == "name it: --store, or VITRAIL_VERSIONS"
    monkeypatch.setenv("VITRAIL_VERSIONS", url)
    assert address_of_versions(kept, None) == url and address_of_versions("/a/b.sqlite", None) == "/a/b.sqlite"


def test_a_state_that_no_server_has_made_is_refused_and_not_made(tmp_path):
    with pytest.raises(InputError, match=r"none\.sqlite: no server has been begun with this state\nhint: vitrail s"):
        opened_state_of_servers(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()
