"""Memory of both versions, each at its peak in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from vitrail.rollout.admission.contest import Contest
from vitrail.rollout.admission.gates import Gate, bounded_gate, not_measured_gate, percent

_TIMEOUT_SECONDS = 600
_PROBE = "vitrail.rollout.admission.memory_probe"


def memory_gate(contest: Contest) -> Gate:
    """What a process takes that loads the candidate and computes batches, beside the stable version's."""
    policy = contest.policy
    mine = _peak(contest.candidate.predictor.package.folder, policy.device)
    if isinstance(mine, str):
        return not_measured_gate("memory_usage", f"the process that measures memory ended: {mine}")
    figures: dict[str, Any] = {"peak_megabytes": mine}
    said, beyond = f"a process with it takes {mine:,.0f} MB at its peak", 0.0
    if policy.most_memory_megabytes is not None:
        said += f", {policy.most_memory_megabytes:,.0f} MB may be"
        beyond = mine - policy.most_memory_megabytes
    if contest.stable is not None:
        theirs = _peak(contest.stable.predictor.package.folder, policy.device)
        if isinstance(theirs, str):
            return not_measured_gate("memory_usage", f"the process that measures memory ended: {theirs}")
        figures["peak_megabytes_before"] = theirs
        said += f", one with {contest.stable_id} {theirs:,.0f} MB; {percent(policy.most_memory_growth)} more may be"
        beyond = max(beyond, mine - theirs * (1 + policy.most_memory_growth))
    return bounded_gate("memory_usage", said, beyond=beyond, figures=figures)


def _peak(package: Path, device: str) -> float | str:
    """Megabytes (10⁶ bytes), or why there are none."""
    command = [sys.executable, "-m", _PROBE, str(package), device]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_TIMEOUT_SECONDS} s"
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return f"exit code {done.returncode}: {said[-1] if said else 'nothing was said'}"
    return float(json.loads(done.stdout.splitlines()[-1])["peak"]) / 1e6
