import uuid
from pathlib import Path

import pytest

from vitrail.basics.database import opened_database
from vitrail.basics.errors import InputError
from vitrail.monitoring.figures_store import FiguresStore
from vitrail.monitoring.shift_reports import ShiftReport, ShiftReports
from vitrail.monitoring.told_requests import told_requests
from vitrail.monitoring.truth import AnsweredRequest, ToldTruth
from vitrail.rollout.operating.live_figures import live_figures
from vitrail.rollout.version_records import Version
from vitrail.traffic.route_records import KnownModel
from vitrail.traffic.routes import Arm, Routes
from vitrail.traffic.routes_store import RoutesStore

STABLE = Version("flowers", 2, "d2")
SITE = (("site", "b"),)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    if request.param == "sqlite":
        address = str(tmp_path / "serve.sqlite")
    else:
        address = request.getfixturevalue("postgres").database(f"l{uuid.uuid4().hex[:12]}")
    opened = opened_database(address)
    yield opened
    opened.close()


def route(database, *revisions):
    """(written, arms) each; models `one` and `two` have the digests d1 and d2."""
    known = [KnownModel(name, Path("/packages") / name, digest) for name, digest in (("one", "d1"), ("two", "d2"))]
    for number, (written, arms) in enumerate(revisions, start=1):
        RoutesStore(database, lambda at=written: at).write(
            Routes(number, arms), expected=number - 1 or None, models=known
        )


def tell(database, answers):
    """(request, arm, at, answer, attributes, truth or None, truth_at) each."""
    store = FiguresStore(database, server="s", source="s-1")
    store.prepare()
    store.write_answers([AnsweredRequest(row[0], row[2], row[1], *row[3:5]) for row in answers])
    store.write_truths({row[0]: ToldTruth(row[5], row[6]) for row in answers if row[5]}, now=1.0)


def read(database, now=1000.0):
    return live_figures(database, lambda: now, STABLE, window_seconds=10.0, expected=None)


def test_figures_are_those_of_the_arms_that_serve_the_stable_version_since_it_does(database):
    old, new = (Arm("main", "one", weight=1.0),), (Arm("main", "two", weight=1.0), Arm("rest", "one"))
    route(database, (100.0, old), (200.0, new), (300.0, (*new, Arm("twin", "two", weight=1.0))))
    tell(database, [
        ("r1", "main", 150.0, "cat", (), "cat", 305.0),  # of the version before
        ("r2", "main", 305.0, "cat", SITE, "cat", 309.0), ("r3", "twin", 306.0, "cat", SITE, "cat", 309.9),
        ("r4", "main", 306.0, "cat", SITE, "dog", 310.0), ("r5", "rest", 306.0, "cat", (), "dog", 311.0),
        ("r6", "main", 307.0, "cat", (), None, 0.0),
    ])  # fmt: skip
    live = read(database, now=335.0)
    assert live.since == 300.0 and live.window == 3  # both arms serve it since the third revision
    assert [tuple(each) for each in live.truths] == [(0, SITE, "cat", "cat", 2), (1, SITE, "cat", "dog", 1)]
    assert live.window_of(330.0) == 4 and live.begins(4) == 340.0


def test_shift_is_read_by_package_in_the_order_in_which_processes_began(database):
    route(database, (100.0, (Arm("main", "two", weight=1.0),)))
    reports = ShiftReports(database)
    reports.prepare()
    for life, digest in ((1, "d2"), (2, "d1"), (3, "d2")):
        reports.write(ShiftReport("s-1", "two", life, digest, 10, 1, 0.5))
    newest = ShiftReport("s-1", "two", 1, "d2", 20, 9, 0.001)
    reports.write(newest)  # in the place of the one before
    assert read(database).streams == [newest, ShiftReport("s-1", "two", 3, "d2", 10, 1, 0.5)]


def test_where_nothing_can_be_watched_it_is_said_why(database):
    with pytest.raises(InputError, match="no server was ever begun on this database"):
        read(database)
    route(database, (100.0, (Arm("main", "one", weight=1.0), Arm("rest", "two"))))
    with pytest.raises(InputError, match="flowers@2 is stable in the version store, and no arm that users come to"):
        read(database)


def test_requests_whose_truth_came_are_given_once_the_latest_first(database):
    tell(database, [
        ("r1", "main", 10.0, "cat", SITE, "dog", 50.0), ("r1", "twin", 10.0, "cat", SITE, "dog", 50.0),
        ("r2", "main", 10.0, "cat", (), "cat", 60.0), ("r3", "other", 10.0, "cat", (), "cat", 70.0),
        ("r4", "main", 5.0, "cat", (), "cat", 80.0),
    ])  # fmt: skip
    told = told_requests(database, ["main", "twin"], since=10.0, most=10)
    assert [(each.request_id, each.truth, each.attributes) for each in told] == [("r2", "cat", ()), ("r1", "dog", SITE)]
    assert [each.request_id for each in told_requests(database, ["main"], since=0.0, most=1)] == ["r4"]
