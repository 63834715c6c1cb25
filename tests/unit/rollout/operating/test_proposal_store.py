import contextlib
import itertools
import threading
import uuid

import pytest

from vitrail.basics.database import DatabaseConflict, opened_database
from vitrail.basics.errors import InputError
from vitrail.rollout.operating.proposal_store import ProposalStore
from vitrail.rollout.operating.triggers import Trigger

TRIGGER = Trigger("accuracy", "", 0.3, "It is worse.")
OPENED = {"name": "flowers", "version": "flowers@1", "digest": "d" * 64, "evidence": {"sentence": "It is worse."}}


@contextlib.contextmanager
def store_at(address):
    database, ticks = opened_database(address), itertools.count(100)
    yield ProposalStore(database, lambda: float(next(ticks)))
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "serve.sqlite")
    return request.getfixturevalue("postgres").database(f"o{uuid.uuid4().hex[:12]}")


@pytest.fixture
def store(address):
    with store_at(address) as opened:
        yield opened


def test_a_proposal_is_opened_once_and_keeps_its_evidence(store):
    first = store.open(TRIGGER, **OPENED)
    assert (first.number, first.state, first.position) == (1, "proposed", 1)
    assert first.evidence == {"sentence": "It is worse."} and first.lines[0].by == "vitrail operate"
    assert store.open(TRIGGER, **OPENED) is None and store.open(TRIGGER, **OPENED, again=True) is None
    other = store.open(Trigger("fairness", "sex=f", 0.2, "…"), **OPENED)
    assert [each.number for each in store.proposals("flowers")] == [1, other.number] == [1, 2]
    assert store.proposals("leaves") == []
    with pytest.raises(InputError, match="there is no proposal 9\nhint: vitrail operate status"):
        store.proposal(9)


def test_the_same_is_opened_for_another_package_and_again_only_after_it_was_declined(store):
    first = store.open(TRIGGER, **OPENED)
    assert store.open(TRIGGER, **{**OPENED, "digest": "e" * 64}).number == 2
    store.advance(first, "declined", by="Ada", facts={"why": "no"})
    assert store.open(TRIGGER, **OPENED) is None  # it stays declined
    assert store.open(TRIGGER, **OPENED, again=True).number == 3
    assert store.open(TRIGGER, **OPENED, again=True) is None


def test_states_follow_each_other_and_the_history_says_who_and_why(store):
    proposal = store.open(TRIGGER, **OPENED)
    with pytest.raises(InputError, match="proposal 1 is proposed, which is not followed by gathered\nhint: what may"):
        store.advance(proposal, "gathered", by="Ada", facts={})
    approved = store.advance(proposal, "approved", by="Ada", facts={"note": "clear", "feedback": True})
    assert approved.state == "approved" and approved.uses_feedback and approved.fact("approved", "note") == "clear"
    stopped = store.tell(approved, "stopped", by="vitrail operate", why="no such folder")
    assert (stopped.state, stopped.stopped) == ("approved", "no such folder")
    assert "next: mend it, then `vitrail operate resume 1`" in stopped.words()[-1]
    resumed = store.tell(stopped, "resumed", by="Ada", why="it is there now")
    assert resumed.stopped is None and store.proposal(1) == resumed
    over = store.advance(resumed, "declined", by="Ada", facts={"why": "too late"})
    assert over.is_over and [each.position for each in over.lines] == [1, 2, 3, 4, 5]
    with pytest.raises(InputError, match="which is not followed by approved\nhint: what may follow: nothing"):
        store.advance(over, "approved", by="Ada", facts={})
    assert over.as_json()["history"][1]["note"] == "clear"


def test_who_read_it_before_it_went_on_writes_nothing(store):
    proposal = store.open(TRIGGER, **OPENED)
    store.advance(proposal, "declined", by="Ada", facts={})
    with pytest.raises(DatabaseConflict, match="proposal 1 has gone on meanwhile"):
        store.advance(proposal, "approved", by="Bob", facts={})
    assert store.proposal(1).state == "declined"


def test_of_many_loops_one_opens_and_one_goes_on(address, store):
    store.proposals("flowers")
    opened, advanced, start = [], [], threading.Barrier(4)

    def loop():
        with store_at(address) as own:
            start.wait()
            opened.append(own.open(TRIGGER, **OPENED))
            try:
                own.advance(own.proposal(1), "approved", by="Ada", facts={})
            except (DatabaseConflict, InputError):
                return
            advanced.append(1)

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(each is not None for each in opened) == 1 and advanced == [1]
    assert [each.facts["state"] for each in store.proposal(1).lines] == ["proposed", "approved"]
