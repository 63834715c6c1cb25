"""Packages that a test of rollouts may register: small, untrained, made once."""

import pytest

from tests.serving import small_package
from vitrail.models.package import read_package


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("to-register")
    return [read_package(small_package(folder / f"{seed}" / "package", seed=seed)) for seed in range(3)]


@pytest.fixture(scope="session")
def package(packages):
    return packages[0]
