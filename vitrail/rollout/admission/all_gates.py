"""All gates in order. Each is made once per run: what an interrupted admission had measured is not measured again."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vitrail.basics.errors import PackageError
from vitrail.basics.events import Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.data.split_images import fingerprint
from vitrail.rollout.admission.contest import Contest
from vitrail.rollout.admission.edge_cases import edge_cases_gate
from vitrail.rollout.admission.gates import Gate
from vitrail.rollout.admission.group_gate import group_floors_gate
from vitrail.rollout.admission.memory_use import memory_gate
from vitrail.rollout.admission.quality_gates import (
    calibration_gate,
    class_floors_gate,
    classes_gate,
    negative_flips_gate,
    nobody_loses_gate,
    non_inferiority_gate,
    threshold_gate,
)
from vitrail.rollout.admission.regression_gates import adversarial_gate, shift_gate
from vitrail.rollout.admission.speed import speed_gate

LOADS = "loads"
GATES: Mapping[str, Callable[[Contest], Gate]] = {
    "classes": classes_gate,
    "threshold": threshold_gate,
    "non_inferiority": non_inferiority_gate,
    "negative_flips": negative_flips_gate,
    "class_floors": class_floors_gate,
    "group_floors": group_floors_gate,
    "classes_and_groups": nobody_loses_gate,
    "calibration": calibration_gate,
    "speed": speed_gate,
    "edge_cases": edge_cases_gate,
    "adversarial_robustness": adversarial_gate,
    "distribution_shift": shift_gate,
    "memory_usage": memory_gate,
}
"""By name, in the order of the report."""
REGRESSION_TESTS = ("edge_cases", "adversarial_robustness", "distribution_shift", "memory_usage")
"""Those that the article's `regression_tests` names."""

_NOTED = "tested"


def judged_gates(run: RunFolder, contest: Contest) -> list[Gate]:
    """Every gate, in order; all are made, so that who is rejected hears all reasons at once."""
    images = fingerprint(contest.candidate.judged.rows)
    lines = [line for line in run.all_noted(_NOTED) if line["images"] == images]
    done = {line["gate"]["name"]: Gate(**line["gate"]) for line in lines}
    found = [Gate(LOADS, "passed", "it is loaded and answers")]
    for name, gate in GATES.items():
        made = done.get(name) or gate(contest)
        if name not in done:
            run.note(_NOTED, images=images, gate=made.as_json())
        contest.emit(Noted(f"{name:<22} {made.decision}: {made.said}"))
        found.append(made)
    return found


def refused_gates(folder: Path, error: PackageError) -> Sequence[Gate]:
    """Of a candidate that cannot be loaded, or whose answers are no numbers: nothing else can be tested."""
    said = f"it cannot be used: {error.message.partition(chr(10))[0].removeprefix(f'{folder}: ')}"
    rest = [Gate(name, "not measured", "the candidate does not answer") for name in GATES]
    return [Gate(LOADS, "failed", said), *rest]
