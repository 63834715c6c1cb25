"""The comparison of two commits sees whatever differs, and nothing else."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import save_file

from tools.compare.checkout import NotRun, Source
from tools.compare.differences import differences
from tools.compare.journeys import Images, Journey, step
from tools.compare.running import Bench

WEIGHTS = {"head.weight": torch.arange(6.0).reshape(2, 3), "norm.bias": torch.ones(4, dtype=torch.bfloat16)}


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def steps(stage, *losses, speed=1.0):
    return {"kind": "steps", "stage": stage, "skipped": 0, "losses": list(losses), "images_per_second": speed}


def epoch(loss):
    return {"kind": "epoch", "stage": "top", "epoch": 1, "validation_loss": loss, "learning_rates": {"head": 5e-4}}


def write_run(folder, *, weights=WEIGHTS, answers=(0.25, 0.75)):
    """A small folder such as a journey leaves."""
    (folder / "package").mkdir(parents=True)
    save_file(weights, folder / "package" / "model.safetensors")
    (folder / "metrics.jsonl").write_text(lines(steps("top", 0.5), steps("top", 0.25), epoch(0.125)))
    (folder / "journal.jsonl").write_text(lines({"at": "2026-11-28T21:12:00+0000", "decision": "choice", "epoch": 1}))
    report = {"accuracy": 0.875, "timings": {"check": 5.5}, "versions": {"torch": "2.15"}, "command": "vitrail fit a"}
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "answers.csv").write_text(
        "path,ants\n" + "".join(f"{n}.jpg,{value}\n" for n, value in enumerate(answers))
    )
    table = pyarrow.table({"id": ["a", "b"], "split": ["train", "val"], "features": [[1.0, 2.0], [3.0, 4.0]]})
    pyarrow.parquet.write_table(table, folder / "splits.parquet")
    return folder


@pytest.fixture
def old(tmp_path):
    return write_run(tmp_path / "old")


@pytest.fixture
def new(tmp_path):
    return write_run(tmp_path / "new")


def found(old, new, *allow, killed=False):
    return differences("fit", old, new, allow=list(allow), killed=killed)


def names(old, new, **how):
    return [each.name for each in found(old, new, **how)]


def test_two_equal_folders_are_equal(old, new):
    assert found(old, new) == []


def test_seconds_dates_versions_and_the_steps_that_share_a_line_may_differ(old, new):
    (new / "metrics.jsonl").write_text(lines(steps("top", 0.5, 0.25, speed=7.0), epoch(0.125)))
    (new / "journal.jsonl").write_text(lines({"at": "2027-01-01T00:00:00+0000", "decision": "choice", "epoch": 1}))
    report = {"accuracy": 0.875, "timings": {"check": 1.5}, "versions": {"torch": "3.0"}, "command": "vitrail fit a"}
    (new / "report.json").write_text(json.dumps(report))
    assert found(old, new) == []


def test_a_single_flipped_bit_of_a_weight_is_seen_and_named(old, tmp_path):
    for name in WEIGHTS:
        weights = {key: tensor.clone() for key, tensor in WEIGHTS.items()}
        weights[name].view(torch.int16).reshape(-1)[2] ^= 1
        new = write_run(tmp_path / name, weights=weights)
        assert names(old, new) == [f"fit/package/model.safetensors:{name}"]
        assert found(old, new)[0].largest > 0


def test_a_weight_of_another_name_shape_or_type_is_seen(old, tmp_path):
    renamed = write_run(
        tmp_path / "renamed", weights={"weight": WEIGHTS["head.weight"], "norm.bias": WEIGHTS["norm.bias"]}
    )
    assert {each.place for each in found(old, renamed)} >= {"head.weight", "weight"}
    other = write_run(tmp_path / "other", weights={**WEIGHTS, "head.weight": WEIGHTS["head.weight"].reshape(3, 2)})
    assert names(old, other) == ["fit/package/model.safetensors:head.weight"]
    typed = write_run(tmp_path / "typed", weights={**WEIGHTS, "norm.bias": torch.ones(4)})
    assert names(old, typed) == ["fit/package/model.safetensors:norm.bias dtype"]


def test_a_changed_loss_of_a_step_or_of_an_epoch_is_seen(old, new):
    (new / "metrics.jsonl").write_text(lines(steps("top", 0.5), steps("top", 0.25000000000000006), epoch(0.1250001)))
    assert names(old, new) == ["fit/metrics.jsonl:top epoch 1.validation_loss", "fit/metrics.jsonl:top losses"]
    assert [each.largest for each in found(old, new)] == pytest.approx([1e-7, 5.5e-17], rel=0.02)


def test_another_decision_and_another_figure_are_seen(old, new):
    (new / "journal.jsonl").write_text(lines({"decision": "choice", "epoch": 2}, {"decision": "finished"}))
    (new / "report.json").write_text((new / "report.json").read_text().replace("0.875", "0.75"))
    assert names(old, new) == [
        "fit/journal.jsonl:choice.epoch",
        "fit/journal.jsonl:order",
        "fit/journal.jsonl:finished.decision",
        "fit/report.json:accuracy",
    ]


def test_another_answer_and_another_side_of_the_split_are_seen(old, tmp_path):
    new = write_run(tmp_path / "new", answers=(0.25, 0.7500001))
    table = pyarrow.table({"id": ["a", "b"], "split": ["train", "test"], "features": [[1.0, 2.0], [3.0, 4.0]]})
    pyarrow.parquet.write_table(table, new / "splits.parquet")
    assert names(old, new) == ["fit/answers.csv:ants", "fit/splits.parquet:split[1]"]


def test_a_file_that_is_missing_on_either_side_is_seen(old, new):
    (new / "splits.parquet").unlink()
    (new / "extra.npy").write_bytes(b"")
    assert [(each.file, each.old, each.new) for each in found(old, new)] == [
        ("extra.npy", "(missing)", "there"),
        ("splits.parquet", "there", "(missing)"),
    ]


def test_files_that_cannot_be_read_are_compared_as_bytes(old, new):
    (old / "report.json").write_text("{")
    assert "fit/report.json:sha256" in names(old, new)


def test_a_study_is_compared_though_its_folder_has_another_hash_for_a_name(tmp_path):
    for side, hashed, value in (("old", "0123456789ab", 1), ("new", "ba9876543210", 2)):
        folder = tmp_path / side / "study" / hashed
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({"accuracy": value}))
    assert names(tmp_path / "old", tmp_path / "new") == ["fit/study/SETTINGS/result.json:accuracy"]


def test_what_is_allowed_is_listed_as_allowed(old, new):
    (new / "metrics.jsonl").write_text(lines(steps("top", 0.5), steps("top", 0.3), epoch(0.126)))
    assert [each.allowed for each in found(old, new, "fit/metrics.jsonl:*losses")] == [
        None,
        "fit/metrics.jsonl:*losses",
    ]


def test_a_killed_run_may_say_that_it_was_continued_and_must_end_alike(old, new):
    resumed = {"decision": "resumed"}, {"decision": "choice", "epoch": 1}
    (new / "journal.jsonl").write_text(lines(*resumed))
    assert found(old, new, killed=True) == []
    (new / "journal.jsonl").write_text(lines(resumed[0], {"decision": "choice", "epoch": 2}))
    assert names(old, new, killed=True) == ["fit/journal.jsonl:choice.epoch"]


@dataclass(frozen=True)
class MadeUp(Source):
    """A program that appends five lines to a file of metrics, and goes on where it was."""

    def put_out(self, folder: Path) -> None:
        (folder / "vitrail").mkdir(parents=True)
        (folder / "vitrail" / "__init__.py").touch()
        (folder / "vitrail" / "__main__.py").write_text(
            "import pathlib\n"
            "file = pathlib.Path('metrics.jsonl')\n"
            "for line in range(len(file.read_text().split()) if file.exists() else 0, 5):\n"
            "    with open(file, 'ab', buffering=0) as opened:\n"
            "        opened.write(b'%d\\n' % line)\n"
        )


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "real" / "ants").mkdir(parents=True)
    for number in range(4):
        (tmp_path / "real" / "ants" / f"{number}.jpg").touch()
    (tmp_path / "keep").mkdir()
    return Bench(tmp_path / "real", tmp_path / "keep")


ANTS = (Images("ants", "images/ants", 2),)


def test_a_journey_is_killed_at_its_line_continued_and_kept(bench):
    source = MadeUp("commit", "0123456789abcdef")
    place, seconds = bench.result(source, Journey("killed", ANTS, (step("fit", kill_behind_line=3), step("fit"))))
    assert (place / "metrics.jsonl").read_text().split() == list("01234")
    assert {file.name for file in place.iterdir()} == {
        "metrics.jsonl", "killed-1-1-fit-out.txt", "killed-1-1-fit-err.txt", "1-fit-out.txt", "1-fit-err.txt",
    }  # fmt: skip
    assert seconds
    assert bench.result(source, Journey("killed", ANTS, (step("fit", kill_behind_line=3), step("fit")))) == (
        place,
        None,
    )


def test_a_journey_that_does_not_go_as_expected_is_no_result(bench):
    source = MadeUp("commit", "0123456789abcdef")
    with pytest.raises(NotRun, match="was to be killed, and ended with 0"):
        bench.result(source, Journey("unkilled", ANTS, (step("fit", kill_behind_line=9),)))
    with pytest.raises(NotRun, match=r"was to end with \(1,\), and ended with 0"):
        bench.result(source, Journey("code", ANTS, (step("fit", codes=(1,)),)))
    assert not any(bench.keep.rglob("*fit*"))
