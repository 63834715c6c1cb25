"""A service made by hand, in SQLite and in PostgreSQL, with versions that are copied from one that was made once."""

import contextlib
import shutil
import time
import uuid

import pytest

from tests.unit.rollout.live.service import Service, registered
from vitrail.rollout.version_store import opened_store


@pytest.fixture(scope="session")
def version_folder(packages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    with contextlib.closing(opened_store(folder / "versions.sqlite", time.time)) as store:
        registered(store, packages[0].folder, stable=True)
        registered(store, packages[1].folder)
    return folder


@pytest.fixture
def versions(version_folder, tmp_path):
    """`flowers@1`, stable, and `flowers@2`, admitted."""
    shutil.copytree(version_folder, tmp_path / "versions")
    with contextlib.closing(opened_store(tmp_path / "versions" / "versions.sqlite", time.time, files=None)) as store:
        yield store


@pytest.fixture
def address(request, tmp_path):
    if getattr(request, "param", "sqlite") == "sqlite":
        return str(tmp_path / "serve.sqlite")
    return request.getfixturevalue("postgres").database(f"r{uuid.uuid4().hex[:12]}")


@pytest.fixture
def service(address, versions):
    """Makes one service after another; all are closed in the end."""
    made = []

    def make(behaviours=None, **named):
        made.append(Service(address, versions, behaviours, **named))
        return made[-1]

    yield make
    for each in made:
        each.close()
