"""Versions in MLflow's registry, for teams that keep one: the package travels as artifacts, checked on the way back.

Nothing of MLflow's own model format is read: it may hold pickles, and what it trusts it is told by the model itself.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError, PackageError, SystemFault, missing_extra
from vitrail.models.seal import package_digest
from vitrail.rollout.version_records import Version

ALIASES = {"stable": "champion", "candidate": "challenger", "previous": "previous"}
"""What a version is called here, and there."""

_DIGEST, _ID, _FOLDER = "vitrail.digest", "vitrail.version", "package"


class MLflowRegistry:
    """A registry by its address: a folder (`file:///…`), a database, a server.

    Raises:
        SystemFault: the extra `mlflow` is not installed, or there is no registry at the address.
    """

    def __init__(self, address: str) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise missing_extra("mlflow", error) from error
        self._address = address
        with self._explained():
            self._client: Any = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)

    def write(self, version: Version, folder: Path, *, experiment: str = "vitrail") -> str:
        """Write a version with its aliases; the same content is written once.

        Args:
            version: what is written.
            folder: of its package.
            experiment: under which its artifacts are kept.

        Returns:
            Its address there: `models:/flowers/3`.
        """
        with self._explained():
            number = self._number_of(version) or self._written(version, folder, experiment)
            for alias in version.aliases:
                self._client.set_registered_model_alias(version.name, ALIASES[alias], number)
        return f"models:/{version.name}/{number}"

    @contextlib.contextmanager
    def fetched(self, name: str, which: str) -> Iterator[Path]:
        """A package as it lies in the registry, in a folder that is gone behind the block.

        Args:
            name: of the registered model.
            which: its version's number, or an alias such as `champion`.

        Raises:
            InputError: there is no such version.
            PackageError: it holds no package, or another one than was written.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        try:
            get = self._client.get_model_version if which.isdigit() else self._client.get_model_version_by_alias
            found = get(name, which)
        except MlflowException as error:
            raise InputError(
                f"{self._address} has no {name} {which}: {_said(error)}", hint="a version's number, or an alias"
            ) from error
        with tempfile.TemporaryDirectory(prefix="vitrail-mlflow-") as folder:
            with self._explained():
                source = self._client.get_model_version_download_uri(name, found.version)
                place = mlflow.artifacts.download_artifacts(
                    artifact_uri=source, dst_path=folder, tracking_uri=self._address
                )
            package = Path(place)
            expected = found.tags.get(_DIGEST)
            if expected and package_digest(package) != expected:
                raise PackageError(
                    f"{self._address}: {name} {found.version} holds another package than was written",
                    hint="it was changed there; nothing of it was used",
                )
            yield package

    def _number_of(self, version: Version) -> str | None:
        from mlflow.exceptions import MlflowException

        try:
            known = self._client.search_model_versions(f"name='{version.name}'")
        except MlflowException:  # it is not there yet
            return None
        return next((str(each.version) for each in known if each.tags.get(_DIGEST) == version.digest), None)

    def _written(self, version: Version, folder: Path, experiment: str) -> str:
        client = self._client
        known = client.get_experiment_by_name(experiment)
        kept = known.experiment_id if known else client.create_experiment(experiment)
        run = client.create_run(kept, run_name=version.id).info.run_id
        client.log_artifacts(run, str(folder), _FOLDER)
        if not any(each.name == version.name for each in client.search_registered_models(f"name='{version.name}'")):
            client.create_registered_model(version.name)
        tags = {_DIGEST: version.digest, _ID: version.id}
        made = client.create_model_version(version.name, f"runs:/{run}/{_FOLDER}", run_id=run, tags=tags)
        client.set_terminated(run)
        return str(made.version)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, OSError, ModuleNotFoundError) as error:
            raise SystemFault(
                f"MLflow at {self._address}: {_said(error)}", hint="is the registry there, and may you use it?"
            ) from error


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "message", error)).split())[:300]
