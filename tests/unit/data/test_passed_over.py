import os

import pytest

from tests.conftest import picture
from vitrail.data.image_table import read_image_table
from vitrail.data.inspection import begin_inspection
from vitrail.data.inspection.passed_over_files import passed_over_findings
from vitrail.data.passed_over import kind_of, may_be_images

JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 200


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.txt", b"words", ".txt"),
        ("a", b"words", "(no extension)"),
        ("a", JPEG, "(no extension), JPEG inside"),
        ("a.jpg_large", JPEG, ".jpg_large, JPEG inside"),
        ("a.JPG.txt", JPEG, ".txt, JPEG inside"),
        ("IM0001", b"\0" * 128 + b"DICM", "(no extension), DICOM inside"),
        ("a.dcm", b"\0" * 128 + b"DICM", ".dcm, DICOM inside"),
        ("a.nii.gz", b"\x1f\x8b", ".nii.gz"),
        ("a.NEF", b"raw", ".nef"),
        ("a.dat", b"RIFF\0\0\0\0WEBPVP8 ", ".dat, WEBP inside"),
        ("a.part", b"\0\0\0\x1cftypheic", ".part, HEIC inside"),
    ],
)
def test_a_file_is_counted_by_its_extension_and_what_is_inside(name, content, kind, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert kind_of(str(tmp_path / name)) == kind


def test_a_pipe_without_extension_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert kind_of(str(tmp_path / "pipe")) == "(no extension)"


def test_kinds_that_may_hold_images_are_known():
    assert [may_be_images(kind) for kind in (".nii.gz", ".nef", "(no extension), JPEG inside")] == [True] * 3
    assert [may_be_images(kind) for kind in (".txt", "(no extension)", ".gz")] == [False] * 3


def test_files_passed_over_are_told_by_kind_and_class(tmp_path):
    for label in ("cat", "dog"):
        for number in range(3):
            path = tmp_path / label / "more" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(number).save(path)
    (tmp_path / "cat" / "list.csv").write_text("a,b")
    (tmp_path / "dog" / "more" / "IMG_1").write_bytes(JPEG)
    (tmp_path / "dog" / "IMG_2").write_bytes(JPEG)
    (tmp_path / "notes.txt").write_text("read me")
    table = read_image_table(tmp_path)
    counts = {"": {".txt": 1}, "cat": {".csv": 1}, "dog": {"(no extension), JPEG inside": 2}}
    assert table.passed_over == counts
    inspection = begin_inspection(table.rows, workers=0, passed_over=table.passed_over).result()
    assert inspection.as_json()["summary"]["passed_over"] == counts
    (finding,) = [each for each in inspection.findings if each.code == "passed-over"]
    assert finding.severity == "warning"
    assert finding.title == "4 files were passed over: 2 × (no extension), JPEG inside; 1 × .txt; 1 × .csv"
    assert finding.details == (
        "(outside of classes): 1 × .txt", "cat: 1 × .csv", "dog: 2 × (no extension), JPEG inside",
    )  # fmt: skip


def test_what_holds_no_image_by_its_name_is_only_noted():
    (finding,) = passed_over_findings({"cat": {".txt": 1}})
    assert (finding.severity, finding.title) == ("note", "1 file was passed over: 1 × .txt")
    assert not list(passed_over_findings({}))
