"""Kill `vitrail fit --overwrite` at every rename, removal and new folder, one after the other, and see what is left.

After a kill the old package still opens or the new one is whole; a command that is refused loses nothing; and the same
command, repeated, ends well. Needs `strace`, whose `inject` does the killing: `python -m tools.kill_at_renames`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.flip_bits import weights_of, write_images

CALLS = "rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir"
PLACES = (".", ".replaced", ".being-moved")


def command(images: Path, out: Path, *more: str) -> list[str]:
    """A fit that takes about two seconds."""
    quick = ["--model", "test_vit", "--set", "pretrained=false", "--image-size", "32", "--preset", "quick"]
    return [
        sys.executable,
        "-m",
        "vitrail",
        "fit",
        str(images),
        "--out",
        str(out),
        "--workers",
        "0",
        "-q",
        *quick,
        *more,
    ]


def packages(run: Path) -> set[str]:
    """Digests of the weights of every package that is left."""
    return {weights_of(run / place) for place in PLACES if (run / place / "package" / "model.safetensors").exists()}


def kills(count: int, *, first: int = 1, every: int = 1) -> list[str]:
    """What went wrong, in sentences, of up to `count` kills: at the `first` call, and every so many behind it."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        images, run = write_images(root / "images"), root / "run"
        one_class = write_images(root / "other")
        shutil.rmtree(one_class / "red")
        subprocess.run(command(images, root / "old"), check=True, capture_output=True)
        overwriting = ("--overwrite", "--seed", "1")
        subprocess.run(command(images, root / "new", "--seed", "1"), check=True, capture_output=True)
        old, new = weights_of(root / "old"), weights_of(root / "new")
        for number in range(first, first + count * every, every):
            shutil.copytree(root / "old", run)
            killing = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={CALLS}", "-e",
                       f"inject={CALLS}:signal=KILL:when={number}"]  # fmt: skip
            died = subprocess.run(killing + command(images, run, *overwriting), capture_output=True, check=False)
            faults += faults_of(number, run, {old, new}, images, one_class, new)
            shutil.rmtree(run)
            if died.returncode == 0:
                break
    return faults


def faults_of(number: int, run: Path, wanted: set[str], images: Path, one_class: Path, new: str) -> list[str]:
    """What is wrong with a run folder whose process was killed at call `number`."""
    faults = [] if packages(run) & wanted else [f"kill {number}: no package is left"]
    refused = subprocess.run(command(one_class, run), capture_output=True, text=True, check=False)
    if refused.returncode not in (1, 2) or "Traceback" in refused.stderr:
        faults.append(f"kill {number}: another command ended with {refused.returncode}: {refused.stderr[-300:]}")
    if not packages(run) & wanted:
        faults.append(f"kill {number}: a command that was refused lost the package")
    again = subprocess.run(
        command(images, run, "--overwrite", "--seed", "1"), capture_output=True, text=True, check=False
    )
    if again.returncode or weights_of(run) != new or any((run / each).exists() for each in PLACES[1:]):
        faults.append(f"kill {number}: the same command ended with {again.returncode}: {again.stderr[-300:]}")
    return faults


def main() -> None:
    """Print what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    faults = kills(parser.parse_args().count)
    print("\n".join(faults) or "nothing was lost")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
