"""A stand-in that is run instead of a model: no model does what is tested when it is asked to."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BEGIN = """
import json, socket, struct, sys, time
line = socket.socket(fileno=int(sys.argv[-2]))
file = line.makefile("rb")
def hear():
    head = file.read(12)
    text, content = struct.unpack("!IQ", head) if len(head) == 12 else sys.exit()
    return json.loads(file.read(text)), file.read(content)
def say(told, content=b""):
    text = json.dumps(told).encode()
    line.sendall(struct.pack("!IQ", len(text), len(content)) + text + content)
hear()
"""


@pytest.fixture
def stands_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    def use(script: str) -> None:
        file = tmp_path / "stand-in"
        file.write_text(f"#!{real} -IS\n{BEGIN}{script}")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(file))

    real = os.path.realpath(sys.executable)
    return use
