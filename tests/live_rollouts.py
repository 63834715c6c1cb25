"""Rollouts against real servers under a load of users: one good candidate, and others with one fault each.

    python -m tests.live_rollouts                      # all of them, a line each
    python -m tests.live_rollouts permuted slow --state postgresql://…

Each candidate is begun with `vitrail.start_rollout` on two-block networks; what came of it is told with how many
users it answered, how many requests failed in all, and how long after the decision it still answered somebody.
"""

import argparse
import contextlib
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import vitrail
from tests import faulty_packages as made
from tests.load import Load
from tests.serving import Server, loading_server, serving
from vitrail.rollout.version_store import VersionStore, opened_store

QUICK_PLAN: dict[str, Any] = {
    "stages": {"canary": 10, "half": 50, "all": 100}, "warm_up_seconds": 5.0, "least_stage_seconds": 10.0,
    "least_stage_requests": 50, "least_looks": 2, "bake_seconds": 5.0, "look_seconds": 0.5, "shadow_share": 0.5,
    "least_pairs": 200, "least_shadow_seconds": 5.0, "most_loading_seconds": 60.0, "most_unwell_seconds": 10.0,
}  # fmt: skip
SERVER: dict[str, Any] = {"interval_seconds": 1.0, "restart_seconds": 0.2, "probe_every_seconds": 1.0}

Make = Callable[[Path], Path]
CANDIDATES: Mapping[str, Make] = {
    "failing": made.sometimes_failing_package,
    "slow": made.slow_package,
    "permuted": made.permuted_package,
    "bad class": made.one_bad_class_package,
    "leaking": lambda folder: made.good_package(folder, noise=0.04),
    "dying": lambda folder: made.good_package(folder, noise=0.05),
    "good": lambda folder: made.good_package(folder, noise=0.02),
}
ENVIRONMENTS: Mapping[str, Callable[[Path, str], Mapping[str, str]]] = {"leaking": made.leaking, "dying": made.dying}
"""Faults of the process, which come with the environment of a server of their own."""


@dataclass(frozen=True)
class Tried:
    """What came of a candidate.

    Attributes:
        candidate: its name here.
        result, where, why: of the rollout: how it ended, in which phase, and in which words.
        seconds: from its beginning to its end.
        requests: of all users meanwhile.
        failed: of these, without an answer.
        answered: of these, by the candidate.
        stale_seconds: between the decision against it and the last answer that it gave a user; None: it gave none, or
            was not stopped.
    """

    candidate: str
    result: str | None
    where: str
    why: str
    seconds: float
    requests: int
    failed: int
    answered: int
    stale_seconds: float | None


class Registered:
    """A version store with a stable version, and candidates that were admitted as they come.

    Args:
        folder: for packages and the store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, str(folder / "versions.sqlite")
        self._admit(made.good_package(folder / "stable"))
        with self.opened() as store:
            store.set_alias("colours@1", "stable", by="test")

    @contextlib.contextmanager
    def opened(self) -> Iterator[VersionStore]:
        """The store."""
        with contextlib.closing(opened_store(self.address, time.time)) as store:
            yield store

    @property
    def stable(self) -> Path:
        """The package of the stable version."""
        return vitrail.package_of_version("colours@stable", self.address)

    def candidate(self, name: str) -> str:
        """Register a candidate of that name; gives its version."""
        return self._admit(CANDIDATES[name](self.folder / name.replace(" ", "-")))

    def _admit(self, package: Path) -> str:
        version = vitrail.register(package, name="colours", store=self.address).version
        with self.opened() as store:
            if store.version(version.id).state == "registered":
                store.set_state(version.id, "admitted", by="test", why="it is to be stopped later")
        return version.id


def tried(name: str, registered: Registered, load: Load, *, state: str, **plan: Any) -> Tried:
    """Roll a candidate out while users ask, until it is over."""
    version = registered.candidate(name)
    first, began, steady = len(load.asked), time.time(), time.monotonic()
    result = vitrail.start_rollout(
        version, state=state, store=registered.address, emit=vitrail.nobody, by="test",
        **{**QUICK_PLAN, **plan},
    )  # fmt: skip
    seconds = time.monotonic() - steady
    time.sleep(1.5)  # whoever was under way, and whoever is sent wrongly afterwards
    last, asked = result.rollout.state.decisions[-1], load.asked[first:]
    model = version.replace("@", "-")
    answers = [each for each in asked if each.model == model]
    decided = steady + (last.at - began)
    stale = [each.at - decided for each in answers if each.at > decided]
    return Tried(
        name, result.result, last.where, "; ".join(last.sentences), round(seconds, 1), len(asked),
        sum(each.status != 200 for each in asked), len(answers),
        round(max(stale), 3) if stale and result.result != "success" else None,
    )  # fmt: skip


@contextlib.contextmanager
def loaded_server(
    registered: Registered, *, state: str, candidate: str | None = None, feedback: float = 0.3, per_second: float = 60.0
) -> Iterator[tuple[Server, Load]]:  # fmt: skip
    """A server of the stable version, and users who ask it.

    Args:
        registered: the versions.
        state: of the server.
        candidate: whose fault comes with the environment of the server; None: of none.
        feedback: share of answers whose truth comes.
        per_second: requests of all users.
    """
    images, settings = made.picture_files(600, seed=9), {**SERVER, "state": state, "server": "one"}
    if candidate in ENVIRONMENTS:
        model = f"colours-{len(registered_versions(registered)) + 1}"
        environment = ENVIRONMENTS[str(candidate)](registered.folder, model)
        beginning = loading_server(registered.stable, folder=registered.folder, environment=environment, **settings)
    else:
        beginning = serving({"colours-1": 1.0}, {"colours-1": registered.stable}, folder=registered.folder, **settings)
    with beginning as server:
        server.until_ready()
        with Load(server, images, per_second=per_second, feedback=feedback, users=2000) as load:
            load.until(20)
            yield server, load


def registered_versions(registered: Registered) -> list[str]:
    """Their names."""
    with registered.opened() as store:
        return [each.id for each in store.versions("colours")]


def main() -> None:
    """Try those that are named, else all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("candidates", nargs="*", choices=[*CANDIDATES, []])
    parser.add_argument("--state")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    asked = given.candidates or list(CANDIDATES)
    with tempfile.TemporaryDirectory() as folder:
        registered, states = Registered(Path(folder)), itertools.count()
        for group in (
            [each for each in asked if each not in ENVIRONMENTS],
            *([each] for each in asked if each in ENVIRONMENTS),
        ):
            if not group:
                continue
            state = given.state or f"{folder}/serve-{next(states)}.sqlite"
            with loaded_server(registered, state=state, candidate=group[0]) as (_, load):
                for name in group:
                    found = tried(name, registered, load, state=state)
                    told = json.dumps(asdict(found)) if given.json else _line(found)
                    print(told, flush=True)


def _line(found: Tried) -> str:
    stale = "" if found.stale_seconds is None else f", its last answer {found.stale_seconds:.2f} s after the decision"
    return (
        f"{found.candidate:<10} {found.result} in {found.where} after {found.seconds} s; {found.failed} of "
        f"{found.requests:,} requests failed, {found.answered:,} answered by it{stale}\n           {found.why}"
    )


if __name__ == "__main__":
    main()
