"""What all journeys may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.commands import vitrail as vitrail
from tests.serving import Server, serving, small_package

SERVED = {"ants": 80.0, "bees": 20.0}


@pytest.fixture(scope="session")
def small_packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`ants`, a ViT that knows its images, and `bees`, a convolutional network."""
    folder = tmp_path_factory.mktemp("served")
    return {
        "ants": small_package(folder / "ants" / "package", reference=True),
        "bees": small_package(folder / "bees" / "package", "test_efficientnet", seed=1),
    }


@pytest.fixture(scope="session")
def server(small_packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that only ask it, however rudely; whoever breaks its models begins another one."""
    folder = tmp_path_factory.mktemp("server")
    limits = {"most_body_bytes": 2_000_000, "most_image_pixels": 4_000_000, "head_seconds": 1.5, "body_seconds": 1.5}
    with serving(SERVED, small_packages, folder=folder, **limits) as begun:
        yield begun
