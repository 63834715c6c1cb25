"""Which routes a server begins with: what it is asked for, or what somebody has decided since."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from vitrail.basics.database import DatabaseConflict
from vitrail.traffic.route_records import KnownModel
from vitrail.traffic.routes import Routes
from vitrail.traffic.routes_store import RoutesStore

MOST_TRIES = 20
"""As many servers may begin at the same moment with one database."""


def routes_at_start(
    asked: Routes, last_asked: Routes | None, latest: Routes | None, *, changed_packages: Collection[str] = ()
) -> Routes:
    """The routes to serve with; a new revision, which is to be written, only where something else is asked for.

    A server that begins again as it was begun before takes up the latest revision, whatever a rollout has made of it:
    a canary goes on. Whoever asks for something else gets it, and what went on before ends; the note says so.

    Args:
        asked: what this server is asked for; its revision means nothing.
        last_asked: the last revision that a command line wrote.
        latest: the revision that holds; None: there is none yet.
        changed_packages: models whose package is not the one that they had: they must be asked for anew as well.

    Returns:
        `latest` itself, or what is asked for as the revision after it.
    """
    if latest is None:
        return replace(asked, revision=1)
    differences = [f"{model} has another package" for model in changed_packages if model in asked.models]
    differences = _differences(last_asked, asked) + differences
    if not differences:
        return latest
    ended = [
        f"{arm.role} {arm.name} of revision {latest.revision} ended" for arm in latest.arms if arm.role != "stable"
    ]
    return replace(asked, revision=latest.revision + 1, note="; ".join(differences + ended))


def started_routes(store: RoutesStore, asked: Routes, models: Sequence[KnownModel]) -> Routes:
    """`routes_at_start`, written where they are new; of several servers that begin at once, one writes.

    Args:
        store: what all servers share.
        asked: what this server is asked for.
        models: its models with their packages.

    Raises:
        InputError: what is written there are no routes.
        SystemFault: the database is gone, locked or silent, or others write all the time.
    """
    for left in reversed(range(MOST_TRIES)):
        latest, known = store.latest(), store.models()
        changed = [each.model for each in models if each.model in known and known[each.model].digest != each.digest]
        routes = routes_at_start(asked, store.last_asked(), latest, changed_packages=changed)
        try:
            if routes is latest:
                store.add_models(models)
            else:
                store.write(routes, expected=None if latest is None else latest.revision, models=models)
        except DatabaseConflict:
            if not left:
                raise
        else:
            break
    return routes


def _differences(before: Routes | None, asked: Routes) -> list[str]:
    """What is asked for that was not asked for before, in words."""
    if before is None:
        return ["asked for on a command line for the first time"]
    old, new = ({arm.name: arm for arm in routes.arms} for routes in (before, asked))
    said = [f"{name} is new" for name in new if name not in old]
    said += [f"{name} is gone" for name in old if name not in new]
    for name in (name for name in new if name in old and new[name] != old[name]):
        one, two = old[name], new[name]
        changes = {
            "model": (one.model, two.model), "role": (one.role, two.role),
            "weight": (f"{one.weight:g}", f"{two.weight:g}"), "share": (f"{one.share:g}", f"{two.share:g}"),
        }  # fmt: skip
        said += [f"{name}: {what} {was} → {now}" for what, (was, now) in changes.items() if was != now]
    parts = {
        "fallback": (", ".join(before.fallback) or "all", ", ".join(asked.fallback) or "all"),
        "anonymous traffic": (before.anonymous, asked.anonymous), "salt": (before.salt, asked.salt),
    }  # fmt: skip
    said += [f"{what}: {was} → {now}" for what, (was, now) in parts.items() if was != now]
    if not said and list(old) != list(new):
        said.append(f"order: {', '.join(new)}")
    return said
