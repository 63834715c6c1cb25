"""Printing never ends what was being done, and exit codes stay right, whatever is at the other end."""

import os
import shlex
import subprocess
import sys

import pytest

from vitrail.cli import main
from vitrail.cli.output import tells_of_memory

VITRAIL = f"{shlex.quote(sys.executable)} -m vitrail"
LIKE_A_FIT = """
import sys, typer
from vitrail.basics.events import Noted
from vitrail.cli import main
from vitrail.pages.progress import ProgressBars

def fit():
    with ProgressBars() as progress:
        for number in range(300):
            progress(Noted("probe    70.1–100.0 × ≥ …"))
    print("computed", file=open(sys.argv[1], "w"))
    for number in range(2000):
        typer.echo("val      100.0 % (70.1–100.0, n = 9) \\udcf6")

main.app = lambda **_: fit()
main.main()
"""


def shell(command, **environment):
    return subprocess.run(["bash", "-c", command], capture_output=True, env={**os.environ, **environment}, check=False)


@pytest.mark.parametrize(("ending", "code"), [
    ("", 0), ("> /dev/full", 3), ("2> /dev/full", 0), (">&- 2>&-", 0), (">&-", 0), ("| head -c 3", 0),
    ("2>&1 | head -c 3", 0), ("> /dev/full 2> /dev/full", 3),
])  # fmt: skip
def test_a_command_does_its_work_and_ends_right_wherever_it_prints(ending, code, tmp_path):
    script = f"{shlex.quote(sys.executable)} -c {shlex.quote(LIKE_A_FIT)} {tmp_path}/done"
    done = shell(f"{script} {ending}; code=${{PIPESTATUS[0]}}; echo; echo $code", PYTHONIOENCODING="ascii")
    assert done.stdout.split()[-1] == b"%d" % code
    assert (tmp_path / "done").read_text() == "computed\n"
    assert b"Traceback" not in done.stdout + done.stderr
    if not ending:
        assert done.stdout.count(b"val      100.0 % (70.1") == 2000  # click spells it in UTF-8 all the same
        assert b"probe    70.1-100.0 x >= ..." in done.stderr


def test_output_that_cannot_be_written_is_an_error_that_says_so(tmp_path):
    done = shell(f"{VITRAIL} --help > /dev/full")
    assert done.returncode == 3
    assert done.stderr.decode().splitlines() == [
        "error: stdout could not be written: No space left on device",
        "hint: send it elsewhere; what the command did is done",
    ]


@pytest.mark.parametrize("raised", [
    MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("std::bad_alloc"), RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    ImportError("libtorch_cuda.so: failed to map segment from shared object"), OSError(12, "Cannot allocate memory"),
])  # fmt: skip
def test_too_little_memory_is_told_in_words(raised, monkeypatch, capsys):
    monkeypatch.setattr(main, "app", lambda **_: (_ for _ in ()).throw(raised))
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 3
    assert capsys.readouterr().err.startswith("error: the memory of this machine does not suffice\nhint: close other")


def test_a_full_shared_memory_is_not_taken_for_a_full_output(monkeypatch, capsys):
    fault = OSError(28, "No space left on device")
    monkeypatch.setattr(main, "app", lambda **_: (_ for _ in ()).throw(fault))
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 3
    told = capsys.readouterr().err
    assert told.startswith("error: the machine refused: No space left on device\nhint: free some space, also")


def test_other_faults_of_ours_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(main, "app", lambda **_: (_ for _ in ()).throw(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        main.main()
    assert not tells_of_memory(RuntimeError("a bug"))
