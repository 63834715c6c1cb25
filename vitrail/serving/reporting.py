"""What a server tells those who share its state about itself: by which routes it serves, and how its models are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vitrail.monitoring.server_reports import ModelReport
from vitrail.serving.breakers import Breakers
from vitrail.serving.fleet import Fleet, LostModel
from vitrail.serving.served_model import ServedModel

REPORT_EVERY_SECONDS = 1.5


@dataclass(frozen=True)
class RefusedRoutes:
    """A revision that could not be brought into force here."""

    revision: int
    why: str
    lost: tuple[LostModel, ...] = ()


@dataclass(frozen=True)
class ServerStanding:
    """What a `ServerReport` says beside whose it is; the same names mean the same."""

    revision: int
    refused: int | None
    refused_why: str
    models: tuple[ModelReport, ...]


def server_standing(fleet: Fleet, breakers: Breakers, refused: RefusedRoutes | None) -> ServerStanding:
    """How a server is now; takes microseconds for every model."""
    closed = {each.model for each in breakers.states() if each.state == "closed"}
    served = [_report(model, healthy=name in closed) for name, model in fleet.models.items()]
    coming = [_report(model, healthy=False) for model in fleet.coming.values()]
    on_their_way = {model.name for model in fleet.coming.values()}
    lost = [
        ModelReport(each.name, each.digest, "down", False, each.why, each.ends, None)
        for each in (refused.lost if refused else ()) if each.name not in on_their_way
    ]  # fmt: skip
    return ServerStanding(
        revision=0 if fleet.routes is None else fleet.routes.revision,
        refused=None if refused is None else refused.revision,
        refused_why="" if refused is None else refused.why,
        models=(*served, *coming, *lost),
    )


def _report(model: ServedModel, *, healthy: bool) -> ModelReport:
    state: Literal["ready", "loading", "down"] = "down" if model.is_down else "loading"
    if model.state == "ready":
        state = "ready"
    memory = None if model.pid is None else memory_of(model.pid)
    is_healthy = healthy and state == "ready"
    return ModelReport(model.name, model.order.digest, state, is_healthy, model.why, model.ends, memory)


def memory_of(process: int) -> int | None:
    """Bytes that a process has for itself, in memory or swapped out: what grows when it leaks. None: not known."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:"))]
    return 1024 * sum(sizes) if sizes else None
