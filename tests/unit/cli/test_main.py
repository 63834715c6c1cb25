import subprocess
import sys

import pytest

from tests.journeys.commands import vitrail as vitrail
from vitrail.basics.errors import InputError
from vitrail.cli.options import parsed


def test_assignments_are_read_as_json_where_they_can_be():
    values = parsed(["epochs=3", "device=cpu", "pad=true", "image-size=[32, 64]", "note=a=b"])
    assert values == {"epochs": 3, "device": "cpu", "pad": True, "image_size": [32, 64], "note": "a=b"}


def test_an_assignment_without_an_equals_sign_and_one_with_its_own_option_are_refused():
    with pytest.raises(InputError, match="--set batch_size: not of the form name=value"):
        parsed(["batch_size"])
    with pytest.raises(InputError, match="out has an option of its own\nhint: write --out here"):
        parsed(["out=here"])


def test_an_unknown_option_and_an_unknown_command_end_with_2(vitrail):
    ended = vitrail("fit", "photos", "--nonsense")
    assert ended.code == 2
    assert "--nonsense" in ended.err
    assert vitrail("fitt").code == 2


def test_errors_are_text_with_a_hint_and_no_traceback(vitrail, tmp_path):
    ended = vitrail("check", tmp_path / "nowhere")
    assert ended.code == 2
    assert ended.err.startswith(f"error: {tmp_path / 'nowhere'}: there is no such folder or file\nhint: ")
    assert "Traceback" not in ended.err


def test_a_line_break_in_a_files_name_never_begins_a_line_that_looks_like_ours(vitrail, write_images, tmp_path):
    folder = write_images({"cat": 6, "dog": 6})
    (folder / "cat" / "x\nhint: rm -r ~\x1b[31m.png").write_bytes(b"\x89PNG\r\n\x1a\n....")
    for command in ("check", "fit", "features starter", "predict starter"):
        name, *model = command.split()
        out = ("--out", tmp_path / name) if name in ("fit", "features") else ()
        ended = vitrail(name, *model, folder, *out)
        assert ended.code in (1, 2), ended
        assert "hint: rm" not in [line[:8] for line in (ended.out + ended.err).splitlines()], ended
    assert "\nhint: rm" not in vitrail("check", folder / "nowhere\nhint: rm -r ~").err


def test_a_reader_that_leaves_early_is_no_error(write_images):
    folder = write_images({"cat": 30, "dog": 30})
    told = f"'{sys.executable}' -m vitrail check '{folder}' --json -q"
    command = f"{told} | head -c 10; code=${{PIPESTATUS[0]}}; echo; echo $code"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] == "0"


def test_exit_handlers_run_although_the_slow_end_of_the_process_is_left_out():
    script = "import atexit, sys; atexit.register(print, 'handled'); sys.argv = ['vitrail', '--version']\n"
    script += "from vitrail.cli.main import entry; entry()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "handled")
