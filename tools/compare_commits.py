"""Run two commits on real images: do they compute the same losses, answers, features and weights, bit for bit?

    VITRAIL_REAL_DATA=… python -m tools.compare_commits OLD [NEW]

NEW is the working tree as it is where none is named. Results of OLD and of a NEW that is a commit are kept, so that
the next comparison costs only what is new. Exit code 0: all equal, but for what `--allow` names; 1: something differs,
or a journey fails; 2: nothing could be compared. `--left-out` prints what is not compared, and why.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tools.compare.checkout import NotRun, Source, source
from tools.compare.differences import Difference, differences
from tools.compare.journeys import JOURNEYS, Journey
from tools.compare.left_out import LEFT_OUT, LEFT_OUT_OF_KILLED, REPLACED
from tools.compare.running import Bench

SHOWN_PER_FILE = 6


def main() -> None:
    """Compare, print, and end with the exit code."""
    try:
        raise SystemExit(_exit_code(_typed()))
    except NotRun as fault:
        _tell(str(fault))
        raise SystemExit(2) from None


def _exit_code(arguments: Any) -> int:
    if arguments.left_out:
        print(*(f"{rule.name:9}{rule.why}" for rule in (*LEFT_OUT, *LEFT_OUT_OF_KILLED, *REPLACED)), sep="\n")
        return 0
    real_data = os.environ.get("VITRAIL_REAL_DATA")
    if not real_data or not Path(real_data).is_dir():
        raise NotRun("VITRAIL_REAL_DATA names no folder with real images")
    bench = Bench(Path(real_data).resolve(), arguments.keep, arguments.threads)
    old, new = source(arguments.old), source(arguments.new)
    if old.key == new.key and not arguments.again:
        raise NotRun("both are the same commit; --again runs it twice, to see whether it is deterministic")
    journeys = [
        each for each in JOURNEYS if not arguments.only or any(fnmatchcase(each.name, p) for p in arguments.only)
    ]
    bench.forget_old_trees(new)
    found = _compared(bench, old, new, journeys, arguments)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(each) for each in found], indent=2, ensure_ascii=False))
    else:
        _print_table(found)
    return 1 if any(each.allowed is None for each in found) else 0


def _typed() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", nargs="?", default="HEAD", help="a commit; default: HEAD")
    parser.add_argument("new", nargs="?", help="a commit; default: the working tree")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="journeys of these names")
    parser.add_argument("--allow", action="append", default=[], metavar="PATTERN",
                        help="JOURNEY/FILE:PLACE that may differ, with * and ?; it is listed as allowed")  # fmt: skip
    parser.add_argument("--again", action="store_true", help="run NEW although a result of it is kept")
    parser.add_argument("--threads", type=int, default=1, help="threads of every process; default 1")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    parser.add_argument("--left-out", action="store_true", help="print what is not compared, and why")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "vitrail-compared",
                        help="folder of results that are kept")  # fmt: skip
    return parser.parse_args()


def _compared(bench: Bench, old: Source, new: Source, journeys: list[Journey], typed: Any) -> list[Difference]:
    found: list[Difference] = []
    for journey in journeys:
        try:
            rows = _of_journey(bench, old, new, journey, typed)
        except NotRun as fault:
            _tell(str(fault))
            rows = [Difference(journey.name, "", "could not be run", "", str(fault))]
        _tell(f"{'':10}{'equal' if not rows else f'{len(rows)} places differ'}")
        found += rows
    return found


def _of_journey(bench: Bench, old: Source, new: Source, journey: Journey, typed: Any) -> list[Difference]:
    before = _run(bench, old, journey, "old")
    after = _run(bench, new, journey, "new", again=typed.again)
    rows = differences(journey.name, before, after, allow=typed.allow)
    if journey.same_as:
        calm = next(each for each in JOURNEYS if each.name == journey.same_as)
        undisturbed = _run(bench, new, calm, "new")
        rows += differences(f"{journey.name}, against {calm.name}", undisturbed, after, allow=typed.allow, killed=True)
    return rows


def _run(bench: Bench, source: Source, journey: Journey, side: str, again: bool = False) -> Path:
    _tell(f"{side:10}{journey.name} …")
    place, seconds = bench.result(source, journey, again)
    _tell(f"{'':10}{'kept from before' if seconds is None else f'{seconds:.0f} s'}: {place}")
    return place


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_table(found: list[Difference]) -> None:
    files: dict[tuple[str, str, str | None], list[Difference]] = {}
    for each in found:
        files.setdefault((each.journey, each.file, each.allowed), []).append(each)
    for (journey, file, allowed), rows in files.items():
        print(f"\n{journey}/{file}{f'   allowed by {allowed}' if allowed else ''}")
        for row in rows[:SHOWN_PER_FILE]:
            print(f"  {row.place or '(the file)'}" + (f"   largest {row.largest:.3g}" if row.largest else ""))
            print(f"    old  {row.old[:160]}\n    new  {row.new[:160]}")
        if len(rows) > SHOWN_PER_FILE:
            print(f"  … and {len(rows) - SHOWN_PER_FILE} more places")
    differing = sum(each.allowed is None for each in found)
    print(f"\n{f'{differing} places differ' if differing else 'all equal'}, {len(found) - differing} allowed")


if __name__ == "__main__":
    main()
