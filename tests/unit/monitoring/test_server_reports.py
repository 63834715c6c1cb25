"""What servers say of themselves, in both databases."""

from dataclasses import replace

import pytest
import sqlalchemy as sql

from tests.unit.monitoring.keeping import opened, rows_in
from vitrail.basics.errors import DamagedError, SystemFault
from vitrail.monitoring.server_reports import ModelReport, ServerReport, ServerReports

ANTS = ModelReport("ants", "a" * 64, "ready", True, "answers", 0, 123_456_789)
NEW = ModelReport("wasps-8", "b" * 64, "down", False, "could not be loaded: → 患", 3, None)
ONE = ServerReport("one", "one/1", 1, 7, 8, "wasps-8 could not be loaded", (ANTS, NEW))


class ReportPromises:
    """Subclasses have a fixture `url`: of an empty database."""

    def test_the_last_report_of_every_process_is_there_as_it_was_written(self, url) -> None:
        reports, others = ServerReports(opened(url)), ServerReports(opened(url))
        assert reports.latest() == []
        two = replace(ONE, server="another", source="another/1", refused=None, refused_why="", models=())
        for each in (ONE, replace(ONE, beat=2, revision=8), two):
            reports.write(each)
        assert others.latest() == [two, replace(ONE, beat=2, revision=8)]

    def test_a_report_that_comes_late_is_left_out(self, url) -> None:
        reports = ServerReports(opened(url))
        last = replace(ONE, beat=9, ended=True)
        for each in (last, replace(ONE, beat=8)):
            reports.write(each)
        assert reports.latest() == [last]

    def test_who_has_said_nothing_for_a_day_is_forgotten(self, url) -> None:
        database = opened(url)
        reports = ServerReports(database)
        for source in ("one/1", "one/2"):
            reports.write(replace(ONE, source=source))
        with database.writing() as connection:
            connection.execute(sql.text("UPDATE server_reports SET at = at - 86500 WHERE source = 'one/1'"))
        reports.write(replace(ONE, source="one/2", beat=2))
        assert rows_in(database, "server_reports") == 2, "it is not looked for every time"
        reports.write(replace(ONE, source="one/3"))
        assert [each.source for each in reports.latest()] == ["one/2", "one/3"]

    def test_damage_is_named(self, url) -> None:
        database = opened(url)
        reports = ServerReports(database)
        reports.write(ONE)
        with database.writing() as connection:
            connection.execute(sql.text("UPDATE server_reports SET report = '[]'"))
        with pytest.raises(DamagedError) as damage:
            reports.latest()
        assert str(damage.value) == (
            "the report of one/1 cannot be read: Input should be an object\n"
            "hint: it was changed by something else than Vitrail, or written by a newer one"
        )


class TestReportsInSqlite(ReportPromises):
    @pytest.fixture
    def url(self, tmp_path) -> str:
        return str(tmp_path / "state.sqlite")

    def test_a_database_that_comes_back_takes_the_next_report(self, url, tmp_path) -> None:
        reports = ServerReports(opened(url))
        reports.write(ONE)
        (tmp_path / "state.sqlite").rename(tmp_path / "away")
        with pytest.raises(SystemFault):
            reports.write(replace(ONE, beat=2))
        (tmp_path / "away").rename(tmp_path / "state.sqlite")
        reports.write(replace(ONE, beat=3))
        assert [each.beat for each in reports.latest()] == [3]


class TestReportsInPostgresql(ReportPromises):
    @pytest.fixture
    def url(self, postgres, request) -> str:
        return postgres.database(f"reports{abs(hash(request.node.name))}")
