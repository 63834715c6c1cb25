"""`vitrail mlflow push` and `pull`: versions to MLflow's registry and back."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.pages.shown_as_text import ShownAsText
from vitrail.rollout.mlflow_registry import MLflowRegistry
from vitrail.rollout.version_store import opened_store
from vitrail.rollout.versions_shown import ShownVersion
from vitrail.workflows.register import register


@dataclass(frozen=True, repr=False)
class PushedVersion(ShownAsText):
    """A version that is in MLflow's registry, too.

    Attributes:
        version: here.
        place: there.
    """

    version: str
    place: str

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {"version": self.version, "place": self.place}

    def lines(self) -> list[str]:
        """Where it is."""
        return [f"{self.version} is {self.place}"]


def mlflow_push(version: str, *, to: str, store: str | Path | None = None) -> PushedVersion:
    """Write a version into MLflow's registry: its package as artifacts, `stable` as `champion`, `candidate` as
    `challenger`.

    Args:
        version: e.g. `flowers@7`.
        to: address of the registry, as MLflow has it: `http://…`, `file:///…`.
        store: as for `register`.

    Raises:
        InputError: there is no such version.
        PackageError: its package was changed.
        SystemFault: the extra `mlflow` is not installed, or the registry cannot be reached.
    """
    with contextlib.closing(opened_store(store, time.time)) as opened:
        found = opened.version(version)
        return PushedVersion(found.id, MLflowRegistry(to).write(found, opened.folder(found.id)))


def mlflow_pull(
    model: str, which: str, *, origin: str, name: str | None = None, by: str | None = None,
    store: str | Path | None = None, files: str | None = None,
) -> ShownVersion:  # fmt: skip
    """Register a package that lies in MLflow's registry; its seal is checked before anything of it is used.

    Args:
        model: the registered model's name there.
        which: a version's number there, or an alias such as `champion`.
        origin: address of the registry, as MLflow has it.
        name: under which it is registered here; None: as there.
        by: who registers it; None: the user of this machine.
        store: as for `register`.
        files: as for `register`.

    Raises:
        InputError: there is no such version.
        PackageError: it holds no package of Vitrail's, or a changed one.
        SystemFault: the extra `mlflow` is not installed, or the registry cannot be reached.
    """
    with MLflowRegistry(origin).fetched(model, which) as package:
        note = f"from MLflow: {model} {which}"
        return register(package, name=name or model, note=note, by=by, store=store, files=files)
