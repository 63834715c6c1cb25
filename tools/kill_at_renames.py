"""Kill `vitrail fit --overwrite` at every rename, removal and new folder, one after the other, and see what is left.

After a kill the old package still opens or the new one is whole; a command that is refused loses nothing; and the same
command, repeated, ends well. Needs `strace`, whose `inject` does the killing: `python -m tools.kill_at_renames`.
"""

import argparse
import itertools
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.processes import running, vitrail
from tools.flip_bits import weights_of, write_images

CALLS = "rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir"
CALLS_OF_A_FIT = 25
"""About so many of these it makes."""
PLACES = (".", ".replaced", ".being-moved")


def command(images: Path, out: Path, *more: str) -> list[str]:
    """A fit that takes about two seconds."""
    quick = ["--model", "test_vit", "--set", "pretrained=false", "--image-size", "32", "--preset", "quick"]
    return ["fit", str(images), "--out", str(out), "--workers", "0", "-q", *quick, *more]


def ended(typed: list[str], printed: Path, *, kill_at: int | None = None) -> tuple[int, str]:
    """Exit code and output of a command, in a process that began at once; `kill_at`: dies at that call of `CALLS`."""
    gate = printed.with_suffix(".gate")
    gate.unlink(missing_ok=True)
    with running(_behind_a_gate, gate, typed, printed=printed) as process:
        tracing = _traced(process.pid, kill_at) if kill_at else None
        gate.touch()
        code = process.wait()
        if tracing is not None:
            tracing.wait()
    return code, printed.read_text(errors="replace")


def _behind_a_gate(gate: Path, typed: list[str]) -> None:
    while not gate.exists():
        time.sleep(0.005)
    vitrail(*typed)


def _traced(pid: int, kill_at: int) -> subprocess.Popen[Any]:
    inject = ["-e", f"trace={CALLS}", "-e", f"inject={CALLS}:signal=KILL:when={kill_at}"]
    tracing = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", os.devnull, *inject, "-p", str(pid)], stderr=subprocess.DEVNULL
    )
    while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
        if tracing.poll() is not None:
            raise RuntimeError("strace may not attach to a process here")
        time.sleep(0.005)
    return tracing


def packages(run: Path) -> set[str]:
    """Digests of the weights of every package that is left."""
    return {weights_of(run / place) for place in PLACES if (run / place / "package" / "model.safetensors").exists()}


def kills(count: int, *, first: int = 1, every: int = 1) -> list[str]:
    """What went wrong, in sentences, of up to `count` kills: at the `first` call, and every so many behind it."""
    return list(itertools.chain.from_iterable(faults for _, faults in killed_one_by_one(count, first, every)))


def killed_one_by_one(count: int, first: int, every: int) -> Iterator[tuple[int, list[str]]]:
    """Number of the call, and what went wrong, kill by kill.

    Where a fit has no such call any more, it begins again with two deaths: the same command is killed once more, at a
    call drawn by lot, before anybody looks.
    """
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        images, run, printed = write_images(root / "images"), root / "run", root / "printed"
        one_class = write_images(root / "other")
        shutil.rmtree(one_class / "red")
        wanted = []
        for name, seed in (("old", "0"), ("new", "1")):
            code, text = ended(command(images, root / name, "--seed", seed), printed)
            assert code == 0, text
            wanted.append(weights_of(root / name))
        assert wanted[0] != wanted[1]
        number, chance, again = first, random.Random(first), False
        for _ in range(count):
            shutil.copytree(root / "old", run)
            overwriting = command(images, run, "--overwrite", "--seed", "1")
            code, _ = ended(overwriting, printed, kill_at=number)
            if again:
                ended(overwriting, printed, kill_at=chance.randint(1, CALLS_OF_A_FIT))
            yield number, faults_of(number, run, wanted, images, one_class, printed)
            shutil.rmtree(run)
            number, again = (1, True) if code == 0 else (number + every, again)


def faults_of(number: int, run: Path, wanted: list[str], images: Path, one_class: Path, printed: Path) -> list[str]:
    """What is wrong with a run folder whose process was killed at call `number`."""
    old_and_new = set(wanted)
    faults = [] if packages(run) & old_and_new else [f"kill {number}: no package is left"]
    code, text = ended(command(one_class, run), printed)
    if code not in (1, 2) or "Traceback" in text:
        faults.append(f"kill {number}: another command ended with {code}: {text[-300:]}")
    if not packages(run) & old_and_new:
        faults.append(f"kill {number}: a command that was refused lost the package")
    code, text = ended(command(images, run, "--overwrite", "--seed", "1"), printed)
    if code or weights_of(run) != wanted[1] or any((run / each).exists() for each in PLACES[1:]):
        faults.append(f"kill {number}: the same command ended with {code}: {text[-300:]}")
    return faults


def main() -> None:
    """Print what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    arguments = parser.parse_args()
    wrong = 0
    for _, faults in killed_one_by_one(arguments.count, arguments.first, 1):
        print(*faults, sep="\n", end="\n" if faults else "", flush=True)
        wrong += len(faults)
    print(f"{arguments.count} kills from call {arguments.first} on: {wrong or 'nothing'} went wrong")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
