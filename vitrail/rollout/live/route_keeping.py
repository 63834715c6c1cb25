"""The routes of a rollout's state, brought into force: written where they differ, and never over somebody else's."""

from pathlib import Path

from vitrail.basics.database import DatabaseConflict
from vitrail.rollout.decision import route_step
from vitrail.rollout.evidence import ForeignRoutes
from vitrail.rollout.live.claim import Claim
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.live.observer import RoutesInForce
from vitrail.rollout.routes_of import WRITER, routes_of
from vitrail.rollout.state import title_of
from vitrail.traffic.route_records import KnownModel
from vitrail.traffic.routes import Routes
from vitrail.traffic.routes_store import RoutesStore

_TRIES = 5
_MOST_NOTE = 300


def settled_routes(kept: KeptRollout, store: RoutesStore, claim: Claim) -> RoutesInForce:
    """Write the routes of the state, unless they are in force, or somebody else has written others meanwhile.

    It may be called as often as one likes, and by whoever conducts the rollout after one that ended half-way: what is
    in force is compared, and the next revision is written only over the one that was compared. A conductor that slept
    since then writes nothing: another one may have sent the users back.

    Raises:
        Overtaken: another conductor has taken over.
        DatabaseConflict: others write all the time.
        SystemFault: the database is gone.
    """
    for left in reversed(range(_TRIES)):
        latest = store.latest()
        revision = 0 if latest is None else latest.revision
        wanted = _wanted(kept, revision + 1)
        if latest is not None and _says(latest) == _says(wanted):
            return RoutesInForce(revision, are_right=True)
        foreign = None if latest is None else _foreign(kept, latest)
        if latest is not None and foreign is not None and not _may_be_replaced(kept, latest, foreign):
            return RoutesInForce(revision, are_right=False, foreign=foreign)
        try:
            store.write(wanted, expected=revision or None, models=_known(kept, wanted), still=claim.refuse_overtaken)
        except DatabaseConflict:
            if not left:
                raise
        else:
            return RoutesInForce(wanted.revision, are_right=True)
    raise AssertionError("the last try has returned or raised")


def are_of_nobody_here(kept: KeptRollout, routes: RoutesInForce) -> bool:
    """Whether a rollout that is over leaves somebody else's routes in force: the candidate is not in them."""
    return kept.state.is_over and routes.foreign is not None


def _wanted(kept: KeptRollout, revision: int) -> Routes:
    step, share = route_step(kept.plan, kept.state)
    decision = kept.state.decisions[-1] if kept.state.decisions else None
    why = "" if decision is None else f": {'; '.join(decision.sentences)}"
    note = f"rollout {kept.number} of {kept.version}, {title_of(kept.plan, kept.state)}{why}"
    return routes_of(kept.arms, step, share=share, revision=revision, note=note[:_MOST_NOTE])


def _says(routes: Routes) -> tuple:
    """What routes do, whoever wrote them."""
    return routes.arms, routes.salt, routes.anonymous, routes.fallback


def _foreign(kept: KeptRollout, latest: Routes) -> ForeignRoutes | None:
    if latest.by == WRITER or latest.revision <= kept.arms.base.revision:
        return None
    said = f" ({latest.note})" if latest.note else ""
    return ForeignRoutes(
        latest.revision,
        f"revision {latest.revision} of the routes was written by {latest.by}{said}, not by this rollout: `resume` "
        "puts the rollout's own in its place, `abort` ends it",
    )


def _may_be_replaced(kept: KeptRollout, latest: Routes, foreign: ForeignRoutes) -> bool:
    """A person has set it aside; or users must return, and those routes still send some to the candidate."""
    if kept.state.is_over:
        return kept.state.result != "success" and kept.model in latest.models
    return foreign.gate in kept.state.accepted


def _known(kept: KeptRollout, routes: Routes) -> list[KnownModel]:
    if kept.model not in routes.models or kept.memory.folder is None:
        return []
    return [KnownModel(kept.model, Path(kept.memory.folder), kept.digest)]
