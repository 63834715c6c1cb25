"""Which users came to which arm, on all servers together, in both databases."""

import random

import pytest
import sqlalchemy as sql

from tests.unit.monitoring.keeping import opened, rows_in
from vitrail.basics.errors import DamagedError
from vitrail.measures.sample_ratio import sample_ratio
from vitrail.monitoring.exposures import (
    SIZE,
    ArmUsers,
    ExposedUsers,
    ExposureStore,
    SeenUsers,
    UserSketch,
    hashed_user,
    seen_users,
)


def sketch(users: range) -> UserSketch:
    found = UserSketch()
    for each in users:
        found.add(hashed_user(str(each), "salt"))
    return found


def test_up_to_a_thousand_users_are_counted_exactly_however_often_they_come() -> None:
    one, other = sketch(range(700)), sketch(range(600, 1600))
    one.unnamed = 5
    for each in range(300):
        one.add(hashed_user(str(each), "salt"))
    assert seen_users(one, other) == SeenUsers(705, 1000, 100, 1.0)


def test_of_many_users_the_same_random_share_is_looked_at_in_both_arms() -> None:
    seen = seen_users(sketch(range(20_000)), sketch(range(19_000, 59_000)))
    assert max(seen.candidate, seen.control) == SIZE and seen.share == pytest.approx(SIZE / 40_000, rel=0.15)
    assert seen.candidate / seen.share == pytest.approx(20_000, rel=0.15)
    assert seen.seen_in_two / seen.share == pytest.approx(1000, rel=0.6) and seen.seen_in_two > 5


def test_equal_shares_are_found_equal_as_often_as_the_test_says_however_many_users_there_are() -> None:
    drawn, alarms = random.Random(1), 0
    for _ in range(40):
        arms = UserSketch(), UserSketch()
        for _ in range(12_000):
            arms[drawn.random() < 0.5].add(drawn.getrandbits(63))
        seen = seen_users(*arms)
        ratio = sample_ratio({"one": seen.candidate, "two": seen.control}, {"one": 1.0, "two": 1.0})
        alarms += ratio.is_mismatch
    assert alarms == 0


def test_a_process_tells_what_is_new_and_forgets_old_routes() -> None:
    exposed = ExposedUsers()
    for user in ("a", "b", "a", None):
        exposed.take(7, "canary", user, salt="s")
    (told,) = exposed.changed()
    assert told == ArmUsers(7, "canary", 1, tuple(sorted(hashed_user(user, "s") for user in "ab")))
    assert exposed.changed() == []
    exposed.take(7, "canary", "c", salt="s")
    for revision in range(8, 12):
        exposed.take(revision, "canary", "a", salt="s")
    assert [each.revision for each in exposed.changed()] == [9, 10, 11]
    assert hashed_user("a", "s") != hashed_user("a", "another") and 0 <= hashed_user("a", "s") < 2**63


class ExposurePromises:
    """Subclasses have a fixture `url`: of an empty database."""

    def test_users_of_all_servers_are_counted_once(self, url) -> None:
        database = opened(url)
        one, other = ExposureStore(database), ExposureStore(opened(url))
        assert one.seen([4], candidate="canary", control="control") is None
        one.write("one", [ArmUsers(4, "canary", 1, (1, 2)), ArmUsers(4, "control", 0, (3,))])
        one.write("one", [ArmUsers(4, "canary", 2, (1, 2, 2**63 - 1))])
        one.write("one", [])
        other.write("two", [ArmUsers(4, "canary", 1, (2, 3)), ArmUsers(3, "canary", 9, (8, 9))])
        assert other.seen([4], candidate="canary", control="control") == SeenUsers(7, 1, 1)
        assert other.seen([3, 4], candidate="canary", control="control") == SeenUsers(18, 1, 1)
        one.write("one", [ArmUsers(104, "canary", 0, (1,))])
        assert rows_in(database, "exposures") == 4
        one.write("one", [ArmUsers(105, "canary", 0, (1,))])
        assert rows_in(database, "exposures WHERE revision < 100") == 0

    def test_damage_is_named(self, url) -> None:
        database = opened(url)
        store = ExposureStore(database)
        store.write("one/1", [ArmUsers(4, "canary", 0, (1,))])
        with database.writing() as connection:
            connection.execute(sql.text("UPDATE exposures SET hashes = '[-1]'"))
        with pytest.raises(DamagedError) as damage:
            store.seen([4], candidate="canary", control="control")
        assert str(damage.value) == (
            "the users of 'canary' that one/1 counted cannot be read: a list of numbers was expected\n"
            "hint: remove that row from the database"
        )


class TestExposuresInSqlite(ExposurePromises):
    @pytest.fixture
    def url(self, tmp_path) -> str:
        return str(tmp_path / "state.sqlite")


class TestExposuresInPostgresql(ExposurePromises):
    @pytest.fixture
    def url(self, postgres, request) -> str:
        return postgres.database(f"exposures{abs(hash(request.node.name))}")
