import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import shape_checks
from tests.postgres import running_postgres

shape_checks.install()

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that: tests send it to them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images and weights, or a skip where there is none."""
    place = os.environ.get("VITRAIL_REAL_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("VITRAIL_REAL_DATA names no folder with real images")
    return Path(place)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _private_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("VITRAIL_CACHE", str(cache))


@pytest.fixture(autouse=True)
def _disks_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test can pull the plug, so none waits until the disk has everything; commands in processes of their own do."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def picture(seed: int, *, size: tuple[int, int] = (40, 32), hue: int = 0) -> Image.Image:
    """A small colourful picture that no other seed gives; `hue` 0-2 says which channel is strong."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 160, (5, 5, 3), dtype=np.uint8)
    coarse[..., hue] += 90
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL, or a skip where it is not installed."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def registered(request: pytest.FixtureRequest):
    """Registers readers of image files for the duration of a test."""

    def register(reader):
        from vitrail.data.readers.known import forget_reader, register_reader

        register_reader(reader)
        request.addfinalizer(lambda: forget_reader(reader))
        return reader

    return register


@pytest.fixture
def write_images(tmp_path: Path):
    """Writes `{class: count}` into class folders below a name, and returns that folder."""

    def write(counts: dict[str, int], *, under: str = "images", seed: int = 0) -> Path:
        root = tmp_path / under
        for position, (label, count) in enumerate(counts.items()):
            (root / label).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                image = picture(seed * 100_000 + position * 1000 + index, hue=position % 3)
                image.save(root / label / f"{index:03d}.png")
        return root

    return write
