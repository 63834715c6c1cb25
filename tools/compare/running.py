"""A journey with one source: its commands in processes of their own, and what they leave."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from tools.compare.checkout import NotRun, Source
from tools.compare.journeys import Journey, Step

MOST_SECONDS = 600

# The hook sees every file that is opened. The line that is about to be appended is not written any more.
KILLED_COMMAND = """
import os, runpy, signal, sys
lines_left = int(sys.argv.pop(1))
def watch(event, arguments):
    global lines_left
    if event != "open" or not str(arguments[0]).endswith("metrics.jsonl") or "a" not in str(arguments[1] or ""):
        return
    if not lines_left:
        os.kill(os.getpid(), signal.SIGKILL)
    lines_left -= 1
sys.addaudithook(watch)
runpy.run_module("vitrail", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Bench:
    """Where and how journeys are run.

    Attributes:
        real_data: folder of images and weights.
        keep: folder of results that are kept.
        threads: threads of a process.
    """

    real_data: Path
    keep: Path
    threads: int = 1

    def place(self, source: Source, journey: Journey, again: bool = False) -> Path:
        """The folder of a result; another source, journey, torch or number of threads has another one."""
        circumstances = f"torch{torch.__version__}-threads{self.threads}{'-again' if again else ''}"
        digest = journey.digest(self.real_data, KILLED_COMMAND)
        name = journey.name.replace(", ", "-").replace(" ", "-")
        return self.keep / f"{source.folder_name}-{circumstances}" / f"{name}-{digest}"

    def forget_old_trees(self, source: Source) -> None:
        """Remove what an earlier state of this working tree left; results of commits stay."""
        if not source.is_commit:
            for folder in self.keep.glob(f"{source.family}-*"):
                if not folder.name.startswith(source.folder_name):
                    shutil.rmtree(folder, ignore_errors=True)

    def result(self, source: Source, journey: Journey, again: bool = False) -> tuple[Path, float | None]:
        """The folder of what the journey leaves, and the seconds it took; None where it was kept."""
        place = self.place(source, journey, again)
        if place.exists() and not again:
            return place, None
        place.parent.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="vitrail-compare-", dir=self.keep) as temporary:
            code, folder = Path(temporary) / "code", Path(temporary) / "run"
            source.put_out(code)
            folder.mkdir()
            journey.lay_out(folder, self.real_data)
            self._walk(journey, code, folder, Path(temporary) / "cache")
            for name in journey.inputs():
                (os.unlink if (folder / name).is_symlink() else shutil.rmtree)(folder / name)
            shutil.rmtree(place, ignore_errors=True)
            folder.rename(place)
        return place, time.monotonic() - begun

    def _walk(self, journey: Journey, code: Path, folder: Path, cache: Path) -> None:
        environment = self._environment(code, cache)
        _imported_from(code, folder, environment)
        for step in journey.steps:
            out, err = (folder / f"{journey.name_of(step)}-{stream}" for stream in ("out", "err"))
            with open(out, "wb") as out_file, open(err, "wb") as err_file:
                ended = subprocess.run(
                    [sys.executable, *_program(step), *step.typed], cwd=folder, env=environment, check=False,
                    stdin=subprocess.DEVNULL, stdout=out_file, stderr=err_file, timeout=MOST_SECONDS,
                )  # fmt: skip
            _as_expected(journey, step, ended.returncode, err)
            out.rename(f"{out}.{_form(step)}")
            err.rename(f"{err}.txt")

    def _environment(self, code: Path, cache: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VITRAIL_", "PYTHON"))}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self.threads))
        return kept | threads | {
            "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1", "VITRAIL_CACHE": str(cache),
            "HF_HUB_OFFLINE": "1", "COLUMNS": "200", "NO_COLOR": "1",
        }  # fmt: skip


def _program(step: Step) -> list[str]:
    return ["-c", KILLED_COMMAND, str(step.kill_behind_line)] if step.kill_behind_line else ["-m", "vitrail"]


def _form(step: Step) -> str:
    form = next((form for form in ("csv", "json") if f"--{form}" in step.typed), "txt")
    return "jsonl" if form == "json" and step.typed[0] == "predict" else form


def _imported_from(code: Path, folder: Path, environment: dict[str, str]) -> None:
    """Raises NotRun where another vitrail than the one that was put out would be run."""
    asked = [sys.executable, "-c", "import vitrail; print(vitrail.__file__)"]
    told = subprocess.run(asked, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(told).is_relative_to(code):
        raise NotRun(f"python imports vitrail from {told}, not from {code}")


def _as_expected(journey: Journey, step: Step, code: int, err: Path) -> None:
    if code in ((-9,) if step.kill_behind_line else step.codes):
        return
    wanted = "was to be killed" if step.kill_behind_line else f"was to end with {step.codes}"
    told = err.read_text(errors="replace")[-3000:]
    raise NotRun(f"{journey.name}: vitrail {' '.join(step.typed)}\n{wanted}, and ended with {code}:\n{told}")
