import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vitrail.basics.errors import DamagedError, InputError, SystemFault
from vitrail.basics.files import explained_os_errors, write_json
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.run_standing import refuse_occupied, unused_run_path


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


def test_an_interrupted_run_that_knows_other_settings_was_begun_by_another_version(tmp_path):
    with RunFolder.open(tmp_path / "ants", {"pass_": {"device": "auto"}}) as run:
        (run.work / "features.f32").write_bytes(b"kept")
    with pytest.raises(InputError) as fault:
        RunFolder.open(tmp_path / "ants", {"pass_": {}, "device": "auto"})
    assert str(fault.value) == (
        f"{tmp_path / 'ants'}: an interrupted run of another version of Vitrail stands there, with other settings:\n"
        "  - device: was None, now 'auto'\n"
        "  - pass_.device: was 'auto', now None\n"
        "hint: continue it with the version that began it, choose another --out, or begin anew with --overwrite"
    )
    with RunFolder.open(tmp_path / "ants", {"pass_": {}, "device": "auto"}, overwrite=True) as run:
        assert not run.resumed


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


def with_package(path: Path, **settings: object) -> Path:
    """A finished run with everything that a fit leaves."""
    with RunFolder.open(path, settings) as run:
        (run.cleared("package")).mkdir()
        (path / "package" / "model.safetensors").write_text("weights")
        (path / "report.html").write_text("page")
        run.finish()
    return path


def remove(run: Path) -> None:
    (run / "journal.jsonl").unlink()


DAMAGE = {
    "missing journal": remove,
    "empty journal": lambda run: (run / "journal.jsonl").write_bytes(b""),
    "binary journal": lambda run: (run / "journal.jsonl").write_bytes(bytes(range(256)) * 9),
    "journal without decisions": lambda run: (run / "journal.jsonl").write_text('{"at": "noon"}\n'),
    "journal of lists": lambda run: (run / "journal.jsonl").write_text("[1, 2]\n[]\n"),
    "journal of another kind": lambda run: (run / "journal.jsonl").write_text('{"decision": 7}\n"finished"\n'),
    "journal cut at a line": lambda run: (run / "journal.jsonl").write_text(
        (run / "journal.jsonl").read_text().splitlines(keepends=True)[0]
    ),
    "journal cut within a line": lambda run: (run / "journal.jsonl").write_text(
        (run / "journal.jsonl").read_text()[:-40]
    ),
    "a folder for a journal": lambda run: (remove(run), (run / "journal.jsonl").mkdir()),
    "settings cut short": lambda run: (run / "settings.json").write_text('{"se'),
    "settings that are a list, and no journal": lambda run: (remove(run), (run / "settings.json").write_text("[]")),
    "binary settings, empty journal": lambda run: (
        (run / "journal.jsonl").write_bytes(b""), (run / "settings.json").write_bytes(b"\xff\xfe\0")
    ),
}  # fmt: skip


@pytest.mark.parametrize("same_settings", [True, False])
@pytest.mark.parametrize("what", DAMAGE)
def test_a_run_with_a_package_is_never_removed_unasked_whatever_else_is_broken(what, same_settings, tmp_path):
    run = with_package(tmp_path / "ants", seed=0)
    DAMAGE[what](run)
    before = everything(run)
    for opening in (
        lambda: refuse_occupied(run, overwrite=False),
        lambda: RunFolder.open(run, {"seed": int(not same_settings)}),
    ):
        with pytest.raises((InputError, SystemFault), match="choose another"):
            opening()
        assert everything(run) == before
    assert unused_run_path("ants", parent=tmp_path) == tmp_path / "ants-2" or what == "missing journal"


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_is_kept_while_it_is_replaced_and_comes_back_when_that_is_refused(what, tmp_path):
    run = with_package(tmp_path / "ants", seed=0)
    DAMAGE[what](run)
    before = everything(run)
    if "missing" in what or "no journal" in what:
        with pytest.raises(InputError, match="is not a run of ours"):
            RunFolder.open(run, {}, overwrite=True)
    else:
        with pytest.raises(InputError, match="one class"), RunFolder.open(run, {"seed": 1}, overwrite=True):
            assert (run / ".replaced" / "package" / "model.safetensors").read_text() == "weights"
            raise InputError("there is only one class")
    assert everything(run) == before


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


class Killed(BaseException):
    """What nobody catches, as kill -9."""


def killed_at(moment: int, patch: pytest.MonkeyPatch) -> None:
    """Let the process die before the `moment`-th time that it renames, makes or removes something."""
    calls = iter(range(1, 10_000))
    for name in ("replace", "rename", "mkdir", "rmdir", "unlink", "truncate"):
        real = getattr(os, name)

        def dying(*arguments, real=real, **named):
            if next(calls) >= moment:
                raise Killed
            return real(*arguments, **named)

        patch.setattr(os, name, dying)


def replaced(run: Path) -> None:
    """A whole fit with --overwrite, as short as can be."""
    with RunFolder.open(run, {"seed": 1}, overwrite=True) as again:
        (again.work / "features.bin").write_bytes(b"computed")
        package = again.cleared("package")
        package.mkdir()
        (package / "model.safetensors").write_text("new weights")
        (run / "report.html").write_text("new page")
        again.finish()


def died(moment: int, run: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    with monkeypatch.context() as patch:
        killed_at(moment, patch)
        try:
            replaced(run)
        except Killed:
            return True
    return False


def test_an_overwriting_run_that_is_killed_anywhere_has_the_old_package_or_the_new_one(tmp_path, monkeypatch):
    moment, ended = 0, False
    while not ended:
        moment += 1
        run = with_package(tmp_path / f"ants-{moment}", seed=0)
        ended = not died(moment, run, monkeypatch)
        packages = [run / "package", run / ".replaced" / "package", run / ".being-moved" / "package"]
        contents = [(each / "model.safetensors").read_text() for each in packages if each.exists()]
        assert "weights" in contents or (run / "journal.jsonl").read_text().count("finished") == 1, moment
        with contextlib.suppress(InputError), RunFolder.open(run, {"seed": 0}) as other:
            assert not other.resumed, moment
            raise InputError("and another command that is refused")
        contents = [(each / "model.safetensors").read_text() for each in packages if each.exists()]
        assert "weights" in contents or "new weights" in contents, moment
        replaced(run)
        assert (run / "package" / "model.safetensors").read_text() == "new weights"
        assert not (run / ".replaced").exists() and not (run / ".being-moved").exists() and not (run / "work").exists()
    assert moment > 20


def test_what_an_earlier_version_had_moved_half_aside_when_it_was_killed_is_put_back(tmp_path):
    run = with_package(tmp_path / "ants", seed=0)
    before = everything(run)
    (run / ".replaced").mkdir()
    for name in ("package", "report.html"):
        (run / name).rename(run / ".replaced" / name)
    with pytest.raises(InputError, match="a finished run stands there"):
        refuse_occupied(run, overwrite=False)
    assert everything(run) == before


def test_a_damaged_journal_of_an_interrupted_run_is_refused_and_its_line_named(tmp_path):
    with RunFolder.open(tmp_path / "ants", {"seed": 0}) as run:
        (run.work / "features.bin").write_bytes(b"computed")
        run.note("runtime", name="torch bfloat16")
        run.note("plan", images_per_step=32)
    journal = tmp_path / "ants" / "journal.jsonl"
    whole = journal.read_bytes()
    for place in range(len(whole)):
        bit = 1 << place % 8
        journal.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        try:
            with RunFolder.open(tmp_path / "ants", {"seed": 0}) as run:
                assert (run.noted("plan")["images_per_step"], run.noted("runtime")["name"]) == (32, "torch bfloat16")
        except InputError as error:
            assert "of journal.jsonl is damaged" in error.message
            assert error.hint == "nothing was changed; choose another --out, or replace the run with --overwrite"
    journal.write_bytes(whole)


def test_damaged_settings_of_an_interrupted_run_are_an_error_with_a_way_out(tmp_path):
    with RunFolder.open(tmp_path / "ants", {"seed": 0}) as run:
        (run.work / "features.bin").write_bytes(b"computed")
    settings = tmp_path / "ants" / "settings.json"
    for content in (b'{"se', b"[]", b"\xff", settings.read_bytes().replace(b"0", b"1", 1)):
        settings.write_bytes(content)
        with pytest.raises(DamagedError, match=r"settings.json is damaged.*\nhint: choose another --out, or begin"):
            RunFolder.open(tmp_path / "ants", {"seed": 0})
    with RunFolder.open(tmp_path / "ants", {"seed": 0}, overwrite=True) as run:
        assert not run.resumed


def test_journals_of_earlier_versions_without_checksums_are_read(tmp_path):
    (tmp_path / "journal.jsonl").write_text('{"at": "noon", "decision": "started"}\n{"decision": "finished"}\n')
    with pytest.raises(InputError, match="a finished run stands there"):
        RunFolder.open(tmp_path, {})
