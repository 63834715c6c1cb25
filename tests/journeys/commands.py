"""Running the command line inside the test's own process: what it prints and how it ends."""

import sys
from dataclasses import dataclass

import pytest

from vitrail.cli import main


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def vitrail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call as `vitrail("check", folder, "--json")`."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["vitrail", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main.main()
        printed = capsys.readouterr()
        return Ended(end.value.code or 0, printed.out, printed.err)

    return run
