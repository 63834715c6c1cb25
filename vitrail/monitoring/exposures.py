"""Which users came to a canary and which to its control: counted in sketches that servers share, without their ids.

A sketch is the 1,024 smallest of the users' hashes (bottom-k sampling: E. Cohen and H. Kaplan, Summarizing Data Using
Bottom-k Sketches, 2007). Those of several servers can be put together, and where two arms are compared, both are cut
where the shorter one ends: what is counted is exact, of all users up to about a thousand, and of a random share of them
above. So a test may take the counts as they are, which it could not do with estimates.

A hash of an id is no id, but whoever knows the routes' salt and guesses an id can try it: sketches are removed when
their revision is long past.
"""

import functools
import hashlib
import heapq
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from vitrail.basics.database import Database
from vitrail.basics.errors import DamagedError

PART, VERSION = "exposures", 1
SIZE = 1024
"""Hashes of a sketch."""
KEPT_REVISIONS = 100
"""Sketches of routes that are older than so many revisions are removed."""
_LARGEST_HASH = 2**63 - 1


class ArmUsers(NamedTuple):
    """Who came to an arm by a revision of the routes, as one process has seen it.

    Attributes:
        revision: of the routes.
        arm: its name.
        unnamed: requests that named no user.
        hashes: the smallest ones of the users that were named.
    """

    revision: int
    arm: str
    unnamed: int
    hashes: tuple[int, ...]


@dataclass(frozen=True)
class SeenUsers:
    """Users of two arms, of whom the same share is looked at, and all requests that name none.

    Attributes:
        candidate: of the one.
        control: of the other.
        seen_in_two: users that came to both.
        share: of all users, that is looked at; 1: all.
    """

    candidate: int
    control: int
    seen_in_two: int
    share: float = 1.0


class UserSketch:
    """Different users in bounded memory, and how many requests named none."""

    def __init__(self) -> None:
        self.unnamed = 0
        self._smallest: set[int] = set()
        self._largest_first: list[int] = []

    @property
    def hashes(self) -> tuple[int, ...]:
        """The smallest ones, in order."""
        return tuple(sorted(self._smallest))

    def add(self, hashed: int) -> None:
        """Count a user; costs about a microsecond."""
        if hashed in self._smallest:
            return
        if len(self._smallest) < SIZE:
            heapq.heappush(self._largest_first, -hashed)
        elif hashed < -self._largest_first[0]:
            self._smallest.discard(-heapq.heappushpop(self._largest_first, -hashed))
        else:
            return
        self._smallest.add(hashed)

    @property
    def reach(self) -> int:
        """Up to this hash no user is missing."""
        return _LARGEST_HASH if len(self._smallest) < SIZE else -self._largest_first[0]


def seen_users(candidate: UserSketch, control: UserSketch) -> SeenUsers:
    """What two sketches say of the same users: those whose hash lies where neither misses one."""
    reach = min(candidate.reach, control.reach)
    one, other = ({each for each in sketch.hashes if each <= reach} for sketch in (candidate, control))
    return SeenUsers(
        candidate.unnamed + len(one), control.unnamed + len(other), len(one & other), (reach + 1) / (_LARGEST_HASH + 1)
    )


def hashed_user(user_id: str, salt: str) -> int:
    """A number below 2^63 for a user; the same on every server whose routes have that salt."""
    return int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8, key=_key(salt)).digest(), "big") >> 1


class ExposedUsers:
    """What one process has seen; all methods belong to one thread."""

    def __init__(self) -> None:
        self._sketches: dict[tuple[int, str], UserSketch] = {}
        self._changed: set[tuple[int, str]] = set()

    def take(self, revision: int, arm: str, user_id: str | None, *, salt: str) -> None:
        """A request came to an arm."""
        place = (revision, arm)
        sketch = self._sketches.get(place)
        if sketch is None:
            self._sketches = {at: each for at, each in self._sketches.items() if at[0] > revision - 3}
            sketch = self._sketches[place] = UserSketch()
        if user_id:
            sketch.add(hashed_user(user_id, salt))
        else:
            sketch.unnamed += 1
        self._changed.add(place)

    def changed(self) -> list[ArmUsers]:
        """What is new since this was asked last."""
        places, self._changed = sorted(self._changed), set()
        there = ((place, self._sketches.get(place)) for place in places)
        return [ArmUsers(*place, sketch.unnamed, sketch.hashes) for place, sketch in there if sketch is not None]


@functools.lru_cache(maxsize=16)
def _key(salt: str) -> bytes:
    return hashlib.sha256(f"exposures\0{salt}".encode()).digest()


class ExposureStore:
    """Sketches of all processes; every method may raise a `SystemFault`.

    Args:
        database: is connected when it is first needed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_prepared = False

    def write(self, source: str, users: Collection[ArmUsers]) -> None:
        """In the place of what that process wrote before."""
        import sqlalchemy as sql

        if not users:
            return
        self._prepare()
        table = _table()
        rows = [{**each._asdict(), "source": source, "hashes": json.dumps(each.hashes)} for each in users]
        insert = self._database.insert(table)
        told = {name: insert.excluded[name] for name in ("unnamed", "hashes")}
        insert = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=told)
        oldest = max(each.revision for each in users) - KEPT_REVISIONS
        with self._database.writing() as connection:
            connection.execute(insert, rows)
            connection.execute(sql.delete(table).where(table.c.revision < oldest))

    def seen(self, revisions: Collection[int], *, candidate: str, control: str) -> SeenUsers | None:
        """Users that came to two arms while any of these routes held, on all servers; None: nobody has said anything.

        Raises:
            DamagedError: a row cannot be read.
        """
        import sqlalchemy as sql

        self._prepare()
        table, sketches = _table(), {candidate: UserSketch(), control: UserSketch()}
        asked = sql.select(table).where(table.c.revision.in_(list(revisions)), table.c.arm.in_(list(sketches)))
        with self._database.reading() as connection:
            rows = connection.execute(asked).all()
        for row in rows:
            sketches[row.arm].unnamed += row.unnamed
            for each in _hashes(row):
                sketches[row.arm].add(each)
        return seen_users(sketches[candidate], sketches[control]) if rows else None

    def _prepare(self) -> None:
        if not self._is_prepared:
            self._database.prepare(PART, VERSION, _table().metadata)
            self._is_prepared = True


@functools.cache
def _table() -> Any:
    import sqlalchemy as sql

    return sql.Table(
        "exposures", sql.MetaData(),
        sql.Column("source", sql.Text, primary_key=True),
        sql.Column("revision", sql.BigInteger, primary_key=True, autoincrement=False),
        sql.Column("arm", sql.Text, primary_key=True),
        sql.Column("unnamed", sql.BigInteger, nullable=False), sql.Column("hashes", sql.Text, nullable=False),
    )  # fmt: skip


def _hashes(row: Any) -> list[int]:
    try:
        found = json.loads(row.hashes)
        if not isinstance(found, list) or not all(type(each) is int and 0 <= each <= _LARGEST_HASH for each in found):
            raise ValueError("a list of numbers was expected")
    except ValueError as error:
        raise DamagedError(
            f"the users of {row.arm!r} that {row.source} counted cannot be read: {error}",
            hint="remove that row from the database",
        ) from None
    return found
