"""Servers that are asked in turns, by so many clients at a time, and how they compare within a turn."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.figures import median_with_interval, summary, tell
from benchmarks.serving_parts.servers import Running

Found = dict[str, dict[int, list[dict[str, Any]]]]
"""By server and number of clients, the figures of every turn."""


def asked_in_turns(servers: Mapping[str, Running], seconds: Mapping[int, float], *, turns: int) -> Found:
    """Ask every server with every number of clients, for so many seconds each, `turns` times."""
    found: Found = {name: {clients: [] for clients in seconds} for name in servers}
    for turn in range(turns):
        for clients, long in seconds.items():
            for name, server in servers.items():
                figures = server.load(clients=clients, seconds=long, warm_seconds=long / 5)
                found[name][clients].append(figures)
                tell(
                    f"turn {turn + 1}, {clients} clients, {name}: {figures['per_second']}/s, {figures['milliseconds']}"
                )
    return found


def figures_of(found: Found, *, ours: Sequence[str], peers: Sequence[str]) -> dict[str, Any]:
    """Medians of every server, and ratios of ours to the peers' of the same turn."""
    medians = {name: {f"{n} clients": _medians(turns) for n, turns in by.items()} for name, by in found.items()}
    return {
        **medians,
        "requests_per_second_against_peers": {
            f"{one} / {other}": {
                f"{clients} clients": median_with_interval(
                    [
                        mine["per_second"] / max(theirs["per_second"], 1e-9)
                        for mine, theirs in zip(found[one][clients], found[other][clients], strict=True)
                    ]
                )
                for clients in found[one]
            }
            for one in ours
            for other in peers
            if other in found
        },
    }  # fmt: skip


def at_equal_p99(found: Found, *, ours: str, peer: str, clients: int) -> dict[str, Any]:
    """Our most requests a second at a p99 that is not above the peer's with so many clients, against the peer's."""
    ratios = []
    for turn, theirs in enumerate(found[peer][clients]):
        bound = theirs["milliseconds"]["p99"]
        points = [turns[turn] for turns in found[ours].values()]
        within = [each["per_second"] for each in points if each["milliseconds"].get("p99", bound + 1) <= bound]
        ratios.append(max(within, default=0.0) / theirs["per_second"])
    return median_with_interval(ratios)


def _medians(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    told = {
        "requests_per_second": summary([each["per_second"] for each in turns]),
        "p50_milliseconds": summary([each["milliseconds"].get("p50", 0.0) for each in turns]),
        "p99_milliseconds": summary([each["milliseconds"].get("p99", 0.0) for each in turns]),
        "load_core_share": max(each["load_core_share"] for each in turns),
        "other_answers": sum(n for each in turns for status, n in each["statuses"].items() if status != "200"),
    }
    if all("server_milliseconds" in each for each in turns):
        around = [each["server_milliseconds"]["around"] for each in turns]
        told["around_decoding_and_computing_milliseconds"] = summary(around)
    return told
