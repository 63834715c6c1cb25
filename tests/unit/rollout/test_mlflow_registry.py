"""Against MLflow itself, in a folder."""

from pathlib import Path

import pytest

from vitrail.basics.errors import InputError, PackageError, SystemFault
from vitrail.models.package import read_package
from vitrail.models.seal import package_digest
from vitrail.rollout.mlflow_registry import MLflowRegistry
from vitrail.rollout.version_records import Version

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def address(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return f"file://{tmp_path}/registry"


def version(package, number=7, aliases=("stable",)):
    return Version("flowers", number, package_digest(package.folder), aliases=aliases)


def test_a_version_goes_there_and_comes_back_byte_for_byte(address, packages):
    first, second = packages[:2]
    registry = MLflowRegistry(address)
    assert registry.write(version(first), first.folder) == "models:/flowers/1"
    assert registry.write(version(second, 8, ("candidate",)), second.folder) == "models:/flowers/2"
    assert registry.write(version(first), first.folder) == "models:/flowers/1"  # it is there already
    for which, package in (("champion", first), ("challenger", second), ("1", first)):
        with registry.fetched("flowers", which) as folder:
            assert package_digest(folder) == package_digest(package.folder)
            assert read_package(folder).classes == package.classes
        assert not folder.exists()


def test_what_was_changed_there_is_refused(address, package):
    registry = MLflowRegistry(address)
    registry.write(version(package), package.folder)
    (seal,) = Path(address.removeprefix("file://")).rglob("SHA256SUMS")
    seal.write_text(seal.read_text() + " ")
    with pytest.raises(PackageError) as refused, registry.fetched("flowers", "champion"):
        pass
    assert str(refused.value) == (
        f"{address}: flowers 1 holds another package than was written\n"
        "hint: it was changed there; nothing of it was used"
    )


def test_what_is_not_there_is_explained(address, package, monkeypatch):
    registry = MLflowRegistry(address)
    registry.write(version(package), package.folder)
    for which in ("champions", "99"):
        with pytest.raises(InputError, match=f"has no flowers {which}"), registry.fetched("flowers", which):
            pass
    with pytest.raises(SystemFault, match="MLflow at nowhere"):
        MLflowRegistry("nowhere://registry")
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(SystemFault, match=r"mlflow is not installed.*\nhint: pip install 'vitrail\[mlflow\]'"):
        MLflowRegistry(address)
