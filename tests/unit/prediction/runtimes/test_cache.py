import errno
import os

import pytest

from vitrail.basics.errors import SystemFault
from vitrail.prediction.runtimes import cache


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path))


def write(place):
    (place / "model.bin").write_bytes(b"model")


@pytest.mark.parametrize("contents", [
    "", "[]", "null", "7", '{"files": []}', '{"files": {}}', '{"files": 7}', '{"files": {"model.bin": null}}',
    "[" * 100_000, '{"files": {"nowhere.bin": "0"}}', '{"files": {"\\u0000": "0"}}', "\xe9",
])  # fmt: skip
def test_a_converted_model_with_whatever_contents_file_is_converted_again(contents):
    place = cache.cached({"number": 1}, write)
    (place / cache.CONTENTS).write_text(contents, encoding="latin1")
    (place / "model.bin").write_bytes(b"other")
    assert (cache.cached({"number": 1}, write) / "model.bin").read_bytes() == b"model"


def test_a_full_disk_is_called_so_whatever_the_converter_calls_it(monkeypatch):
    def fails(_):
        raise RuntimeError("basic_ios::clear: iostream error")

    with pytest.raises(RuntimeError, match="iostream"):
        cache.cached({"number": 1}, fails)
    monkeypatch.setattr(cache, "free_bytes", lambda _: 4096)
    with pytest.raises(SystemFault, match=f"cannot be written: {os.strerror(errno.ENOSPC)}\nhint: set VITR"):
        cache.cached({"number": 1}, fails)
