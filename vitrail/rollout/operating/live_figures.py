"""What the database of the servers says of the version that stands, and where nothing can be said, why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vitrail.basics.database import Database
from vitrail.basics.errors import InputError
from vitrail.measures.intervals import Measure
from vitrail.monitoring.counted_truths import CountedTruths, counted_truths
from vitrail.monitoring.figures_store import FiguresStore
from vitrail.monitoring.shift_reports import ShiftReport, ShiftReports
from vitrail.rollout.version_records import Version
from vitrail.traffic.route_records import WrittenRoutes
from vitrail.traffic.routes_store import RoutesStore

_LOOKED_BACK = 500
"""Revisions among which the beginning of an arm's model is looked for."""


@dataclass(frozen=True)
class LiveFigures:
    """Of the version that stands, as far as the servers know.

    Attributes:
        version: `flowers@7`.
        digest: of its package.
        since: when it came to its arms, seconds since 1970.
        now: when this was read, likewise.
        window_seconds: length of a window; the first one begins at `since`.
        truths: answers whose truth came.
        streams: what model processes say of shift, in the order in which they began.
        expected: the accuracy that the package says it has; None: it says none.
    """

    version: str
    digest: str
    since: float
    now: float
    window_seconds: float
    truths: Sequence[CountedTruths] = ()
    streams: Sequence[ShiftReport] = ()
    expected: Measure | None = None

    @property
    def window(self) -> int:
        """The window that is not over yet."""
        return max(0, int((self.now - self.since) // self.window_seconds))

    def window_of(self, at: float) -> int:
        """The first window that begins after a time."""
        return max(0, int((at - self.since) // self.window_seconds) + 1)

    def begins(self, window: int) -> float:
        """When a window begins, seconds since 1970."""
        return self.since + window * self.window_seconds


def live_figures(
    database: Database, clock: Callable[[], float], stable: Version, *, window_seconds: float,
    expected: Measure | None,
) -> LiveFigures:  # fmt: skip
    """Read them.

    Args:
        database: of the servers.
        clock: seconds since 1970.
        stable: the version that stands, by the version store.
        window_seconds: length of a window.
        expected: accuracy that its package says it has.

    Raises:
        InputError: no server was ever begun on this database, or none of its arms serves the stable version.
        SystemFault: the database cannot be reached.
    """
    routes = RoutesStore(database, clock)
    arms, since = serving_arms(routes.history(_LOOKED_BACK), _models_of(routes, stable), stable)
    FiguresStore(database, server="operate", source="operate").prepare()
    reports = ShiftReports(database)
    reports.prepare()
    truths = counted_truths(database, arms, since=since, window_seconds=window_seconds)
    streams = reports.of_package(stable.digest)
    return LiveFigures(stable.id, stable.digest, since, clock(), window_seconds, truths, streams, expected)


def _models_of(routes: RoutesStore, stable: Version) -> set[str]:
    return {name for name, known in routes.models().items() if known.digest == stable.digest}


def serving_arms(history: Sequence[WrittenRoutes], models: set[str], stable: Version) -> tuple[list[str], float]:
    """The arms in which users get a version, and since when all of them do.

    Args:
        history: revisions, the last one first.
        models: ids under which routes know the version's package.
        stable: the version.

    Raises:
        InputError: there is none.
    """
    if not history:
        raise InputError(
            "no server was ever begun on this database", hint=f"vitrail serve {stable.name}@stable --state …"
        )
    arms = [arm.name for arm in history[0].routes.stable_arms if arm.weight > 0 and arm.model in models]
    if not arms:
        raise InputError(
            f"{stable.id} is stable in the version store, and no arm that users come to serves it",
            hint=f"roll it out, or begin servers with {stable.name}@stable",
        )
    since = history[0].written
    for each in history:
        served = {arm.name for arm in each.routes.arms if arm.model in models}
        if not served.issuperset(arms):
            break
        since = each.written
    return arms, since
