"""A commit's files, put out into a folder of their own; git is asked, never changed."""

import hashlib
import io
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKING_TREE = "working tree"


class NotRun(Exception):
    """A comparison, or one journey of it, could not be run; says why."""


@dataclass(frozen=True)
class Source:
    """What is run: a commit, or the working tree as it is now.

    Attributes:
        name: as it was asked for.
        key: the commit's hash, or a hash of the working tree's files: equal keys are equal programs.
    """

    name: str
    key: str

    @property
    def is_commit(self) -> bool:
        """Whether git keeps it."""
        return self.name != WORKING_TREE

    @property
    def family(self) -> str:
        """Begins the names of all folders of one working tree, or of all commits."""
        return "commit" if self.is_commit else f"tree-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"

    @property
    def folder_name(self) -> str:
        """Begins the names of folders of what was computed with it."""
        return f"{self.family}-{self.key[:16]}"

    def put_out(self, folder: Path) -> None:
        """Write the package `vitrail` of this source into a folder."""
        if self.is_commit:
            archive = _git("archive", "--format=tar", self.key, "vitrail")
            with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
                opened.extractall(folder, filter="data")
            return
        for file in _files_of_working_tree():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)


def source(commit: str | None) -> Source:
    """The commit of this name; None: the working tree, with all that is not committed."""
    if commit is None:
        whole = hashlib.sha256()
        for file in _files_of_working_tree():
            whole.update(file.encode() + b"\0" + (ROOT / file).read_bytes() + b"\0")
        return Source(WORKING_TREE, whole.hexdigest())
    return Source(commit, _git("rev-parse", "--verify", f"{commit}^{{commit}}").decode().strip())


def _files_of_working_tree() -> list[str]:
    listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "vitrail").decode().split("\0")
    return sorted(file for file in set(listed) if file and (ROOT / file).is_file())


def _git(*typed: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *typed], capture_output=True, check=False)
    if done.returncode:
        raise NotRun(f"git {' '.join(typed)}: {done.stderr.decode().strip()}")
    return done.stdout
