import pytest

from vitrail.basics.database import opened_database
from vitrail.monitoring.shift_reports import ShiftKeeper, ShiftReports


@pytest.fixture
def database(tmp_path):
    opened = opened_database(tmp_path / "serve.sqlite")
    yield opened
    opened.close()


def streams(database, digest):
    return [(each.source, each.life, each.seen, each.unlike) for each in ShiftReports(database).of_package(digest)]


def test_a_stream_is_one_row_and_a_process_that_begins_anew_or_gets_another_package_another(database):
    keeper = ShiftKeeper(database)
    for seen, unlike, digest in ((10, 1, "d1"), (20, 2, "d1"), (20, 2, "d1"), (3, 0, "d1"), (9, 0, "d2")):
        keeper.write("s-1", {"flowers": {"seen": seen, "unlike": unlike, "p_value": 0.5}}, {"flowers": digest})
    ShiftKeeper(database).write("s-2", {"flowers": {"seen": 4, "unlike": 1, "p_value": 1.0}}, {"flowers": "d1"})
    assert streams(database, "d1") == [("s-1", 1, 20, 2), ("s-1", 2, 3, 0), ("s-2", 1, 4, 1)]
    assert streams(database, "d2") == [("s-1", 3, 9, 0)]


def test_a_model_without_a_reference_or_a_known_package_says_nothing(database):
    keeper = ShiftKeeper(database)
    keeper.write("s-1", {"a": {"seen": 0}, "b": {"seen": 5, "unlike": 0, "p_value": 1.0}}, {"a": "d1", "b": ""})
    assert streams(database, "d1") == [] and streams(database, "") == []
