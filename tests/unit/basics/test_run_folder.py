import subprocess
import sys
from pathlib import Path

import pytest

from vitrail.basics.errors import InputError, SystemFault
from vitrail.basics.files import explained_os_errors, write_json
from vitrail.basics.run_folder import RunFolder, refuse_occupied, unused_run_path


def finished_run(path: Path, **settings: object) -> Path:
    with RunFolder.open(path, settings) as run:
        run.finish()
    return path


def test_a_finished_run_is_never_replaced_without_being_asked(tmp_path):
    run = finished_run(tmp_path / "ants", seed=0)
    before = (run / "journal.jsonl").read_text()
    with pytest.raises(InputError, match=r"a finished run stands there\nhint: choose another --out, or .*--overwrite"):
        RunFolder.open(run, {"seed": 0})
    assert (run / "journal.jsonl").read_text() == before


def test_a_run_that_is_to_be_replaced_stays_until_the_new_one_is_finished_and_comes_back_if_that_fails(tmp_path):
    run = finished_run(tmp_path / "ants", seed=0)
    (run / "report.html").write_text("old")
    with pytest.raises(InputError, match="no such model"), RunFolder.open(run, {"seed": 1}, overwrite=True):
        raise InputError("no such model")
    assert (run / "report.html").read_text() == "old"
    with pytest.raises(InputError, match="a finished run stands there"):
        RunFolder.open(run, {"seed": 1})
    with RunFolder.open(run, {"seed": 1}, overwrite=True) as again:
        (again.work / "features.f32").write_bytes(b"begun")
    assert (run / ".replaced" / "report.html").read_text() == "old"
    with RunFolder.open(run, {"seed": 1}, overwrite=True) as continued:
        assert continued.resumed, "a killed overwriting run goes on where it was"
        continued.finish()
    assert not (run / ".replaced").exists()


def test_a_run_that_fails_before_anything_was_computed_leaves_no_trace_and_blocks_nobody(tmp_path):
    with pytest.raises(InputError), RunFolder.open(tmp_path / "ants", {"model": "vit_tinny"}):
        raise InputError("no such model")
    assert not (tmp_path / "ants").exists()
    RunFolder.open(tmp_path / "ants", {"model": "killed before any work"}).close()
    with RunFolder.open(tmp_path / "ants", {"model": "vit_tiny"}) as run:
        assert not run.resumed


def test_overwrite_replaces_a_run_but_keeps_what_others_put_beside_it(tmp_path):
    run = finished_run(tmp_path / "ants", seed=0)
    (run / "notes.txt").write_text("mine")
    with RunFolder.open(run, {"seed": 1}, overwrite=True) as replaced:
        assert not replaced.resumed
    assert (run / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_not_a_run_is_refused_even_with_overwrite(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"x")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"is not a run of ours \(cat.jpg\)"):
            RunFolder.open(tmp_path / "photos", {}, overwrite=overwrite)
        with pytest.raises(InputError, match="is not a run of ours"):
            refuse_occupied(tmp_path / "photos", overwrite=overwrite)
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_an_interrupted_run_is_continued_with_its_work_and_its_decisions(tmp_path):
    with RunFolder.open(tmp_path / "ants", {"seed": 0}) as run:
        (run.work / "features.f32").write_bytes(b"kept")
        run.note("execution", name="bfloat16")
    with RunFolder.open(tmp_path / "ants", {"seed": 0}) as again:
        assert again.resumed
        assert (again.work / "features.f32").read_bytes() == b"kept"
        assert again.noted("execution")["name"] == "bfloat16"
        assert again.noted("never decided") is None


def test_an_interrupted_run_with_other_settings_is_refused_and_the_difference_shown(tmp_path):
    with RunFolder.open(tmp_path / "ants", {"seed": 0, "model": {"name": "a"}}) as run:
        (run.work / "features.f32").write_bytes(b"kept")
    with pytest.raises(InputError) as error:
        RunFolder.open(tmp_path / "ants", {"seed": 0, "model": {"name": "b"}})
    assert "  - model.name: was 'a', now 'b'" in error.value.message


def test_a_journal_line_cut_short_by_a_crash_does_not_hide_the_others(tmp_path):
    with RunFolder.open(tmp_path / "ants", {}) as run:
        (run.work / "features.f32").write_bytes(b"kept")
    with open(tmp_path / "ants" / "journal.jsonl", "a") as journal:
        journal.write('{"decision": "fini')
    with RunFolder.open(tmp_path / "ants", {}) as run:
        assert run.noted("started") is not None
        run.note("went on")
        assert run.noted("went on") is not None


def test_two_processes_cannot_work_on_one_run(tmp_path):
    with RunFolder.open(tmp_path / "ants", {}):
        code = (
            "import sys; from pathlib import Path; from vitrail.basics.run_folder import RunFolder\n"
            "from vitrail.basics.errors import InputError\n"
            "try: RunFolder.open(Path(sys.argv[1]), {})\n"
            "except InputError as error: print(error)"
        )
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path / "ants")], capture_output=True, text=True)
    assert "another process is working on this run" in other.stdout


def test_a_free_name_is_found_beside_finished_runs(tmp_path):
    finished_run(tmp_path / "ants")
    assert unused_run_path("ants", parent=tmp_path) == tmp_path / "ants-2"
    assert unused_run_path("bees", parent=tmp_path) == tmp_path / "bees"


def test_a_full_disk_names_the_file_and_leaves_what_stood_there(tmp_path):
    target = tmp_path / "report.json"
    write_json(target, {"old": True})
    told = "the disk is full: /dev/full could not be written\nhint: free some space"
    with (
        pytest.raises(SystemFault, match=told),
        explained_os_errors("/dev/full"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    with pytest.raises(ValueError, match="Out of range"):
        write_json(target, {"new": float("nan")})
    assert "old" in target.read_text()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["report.json"]


def test_a_run_killed_before_its_first_line_is_begun_again(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / ".settings.json.7.partial").write_text("{")
    with RunFolder.open(tmp_path, {"seed": 0}) as run:
        assert not run.resumed
        run.finish()
    assert not list(tmp_path.glob(".*.partial"))


def test_a_folder_called_work_that_holds_something_is_not_a_run_of_ours(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a run of ours"):
        RunFolder.open(tmp_path, {"seed": 0})


def test_what_a_killed_process_was_writing_is_gone_when_the_run_is_finished(tmp_path):
    with RunFolder.open(tmp_path, {"seed": 0}) as run:
        (tmp_path / ".package.7.partial").mkdir()
        (tmp_path / ".package.7.partial" / "config.json").write_text("{")
        run.finish()
    assert not (tmp_path / ".package.7.partial").exists()
