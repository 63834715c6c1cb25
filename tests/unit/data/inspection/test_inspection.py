import gc
import json
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from PIL import Image

from tests.unit.data.inspection.rows import blurred, inspected, saved
from vitrail.basics.errors import SystemFault
from vitrail.basics.events import WorkAdvanced, WorkEnded, WorkStarted
from vitrail.data.image_table import read_image_table
from vitrail.data.inspection import Finding, Inspection, PendingInspection, begin_inspection
from vitrail.data.inspection.contact_sheet import contact_sheet
from vitrail.data.inspection.examine import FileFacts
from vitrail.data.inspection.result import inspection_of
from vitrail.data.inspection.summary import summary_of
from vitrail.data.inspection.words import summary_words
from vitrail.data.split import leaked_ids


def inspection(data, *, workers: int = 0) -> Inspection:
    return begin_inspection(read_image_table(data).rows, workers=workers).result()


def by_code(found: Inspection) -> dict[str, Finding]:
    return {finding.code: finding for finding in found.findings}


@pytest.fixture
def collection(tmp_path):
    """Twelve different pictures of two classes in train and six in val."""
    for number in range(12):
        saved(blurred(number), tmp_path / "train" / ("cat", "dog")[number % 2] / f"{number}.jpg")
    for number in range(12, 18):
        saved(blurred(number), tmp_path / "val" / ("cat", "dog")[number % 2] / f"{number}.jpg")
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_a_clean_set_has_no_findings_and_a_full_summary(collection, workers):
    found = inspection(collection, workers=workers)
    assert found.findings == ()
    assert found.summary["images"] == found.summary["readable"] == 18
    assert found.summary["classes"] == {"cat": {"train": 6, "val": 3}, "dog": {"train": 6, "val": 3}}
    assert found.summary["splits"] == {"train": 12, "val": 6}
    assert found.summary["width"] == {"min": 320, "median": 320, "max": 320}
    assert found.summary["height"] == {"min": 240, "median": 240, "max": 240}
    assert (found.summary["modes"], found.summary["formats"]) == ({"RGB": 18}, {"JPEG": 18})
    assert found.summary["total_bytes"] == sum(path.stat().st_size for path in collection.glob("*/*/*"))
    assert json.loads(json.dumps(found.as_json())) == found.as_json()
    assert found.as_json()["ok"] is True


def test_the_table_gains_what_was_learned_and_keeps_its_order(collection):
    rows = read_image_table(collection).rows
    table = begin_inspection(rows, workers=2).result().table
    assert table.select(rows.column_names).equals(rows)
    assert {"id", "readable", "fault", "width", "height", "mode", "format", "white"} <= set(table.column_names)
    assert not {"sketch", "perceptual_hash"} & set(table.column_names)
    assert len(set(table["id"].to_pylist())) == 18


def test_an_attribute_with_the_name_of_one_of_ours_is_kept_under_another(collection):
    rows = read_image_table(collection).rows.append_column("id", pa.array([f"ISIC {n}" for n in range(18)]))
    table = begin_inspection(rows, workers=0).result().table
    assert table["given_id"].to_pylist()[3] == "ISIC 3"
    assert len(table["id"].to_pylist()[3]) == 32


def test_every_kind_of_bad_file_is_named_and_the_rest_is_read(collection):
    cats = collection / "train" / "cat"
    (cats / "empty.png").touch()
    (cats / "half.jpg").write_bytes((cats / "0.jpg").read_bytes()[:2000])
    (cats / "link.png").symlink_to("nowhere")
    (cats / "text.jpg").write_text("404")
    found = inspection(collection, workers=1)
    details = by_code(found)["unreadable"].details
    assert [line.rpartition("/")[2].split(":")[0] for line in details] == [
        "empty.png",
        "half.jpg",
        "link.png",
        "text.jpg",
    ]
    assert found.summary["unreadable"][0] == {"path": str(cats / "empty.png"), "fault": "is empty (0 bytes)"}
    assert found.summary["readable"] == 18
    assert found.errors and not found.as_json()["ok"]


def test_identical_files_across_splits_and_classes_are_errors_and_within_a_warning(collection):
    def copy(source: str, target: str) -> None:
        (collection / target).write_bytes((collection / source).read_bytes())

    copy("train/cat/0.jpg", "val/cat/leaked.jpg")
    copy("train/cat/2.jpg", "train/dog/mislabelled.jpg")
    copy("train/dog/1.jpg", "train/dog/again.jpg")
    found = inspection(collection)
    codes = by_code(found)
    assert {code: codes[code].severity for code in codes} == {
        "duplicate-across-splits": "warning",
        "duplicate-across-classes": "warning",
        "duplicate-within": "warning",
    }
    assert codes["duplicate-across-splits"].details == (
        f"{collection}/train/cat/0.jpg (train, cat) = {collection}/val/cat/leaked.jpg (val, cat)",
    )
    assert codes["duplicate-across-classes"].details == (
        f"{collection}/train/cat/2.jpg (train, cat) = {collection}/train/dog/mislabelled.jpg (train, dog)",
    )
    assert codes["duplicate-within"].title == "1 superfluous copy of 1 picture within a class"
    table = found.table.to_pylist()
    leaked = next(row["id"] for row in table if row["path"].endswith("leaked.jpg"))
    assert leaked_ids(found.table) == {leaked}


def test_near_duplicates_are_told_across_splits_and_classes_and_within(collection):
    saved(blurred(0), collection / "val" / "cat" / "leaked.jpg", quality=60)
    saved(blurred(2).resize((160, 120)), collection / "train" / "dog" / "mislabelled.jpg")
    saved(blurred(1), collection / "train" / "dog" / "again.jpg", quality=50)
    found = inspection(collection)
    codes = by_code(found)
    assert {code: codes[code].severity for code in codes} == {
        "near-duplicate-across-splits": "warning",
        "near-duplicate-across-classes": "warning",
        "near-duplicate-within": "note",
    }
    pair = (f"{collection}/train/cat/0.jpg", f"{collection}/val/cat/leaked.jpg")
    assert found.near_pairs_across_splits == (pair,)
    assert codes["near-duplicate-across-splits"].details == (f"{pair[0]} (train, cat) ≈ {pair[1]} (val, cat)",)
    assert codes["near-duplicate-across-classes"].details == (
        f"{collection}/train/cat/2.jpg (train, cat) ≈ {collection}/train/dog/mislabelled.jpg (train, dog)",
    )
    assert len(leaked_ids(found.table)) == 1, "the look-alike, whose content is another"
    clusters = [cluster for cluster in found.table["near_duplicate_cluster"].to_pylist() if cluster is not None]
    assert len(clusters) == 6
    assert len(set(clusters)) == 3


def test_an_exact_copy_is_not_told_again_as_a_near_duplicate(collection):
    (collection / "val" / "cat" / "leaked.jpg").write_bytes((collection / "train" / "cat" / "0.jpg").read_bytes())
    assert set(by_code(inspection(collection))) == {"duplicate-across-splits"}


def test_near_pairs_do_not_name_the_exact_copy(collection):
    (collection / "val" / "cat" / "leaked.jpg").write_bytes((collection / "train" / "cat" / "0.jpg").read_bytes())
    saved(blurred(0), collection / "train" / "cat" / "again.jpg", quality=50)
    pair = (f"{collection}/train/cat/again.jpg", f"{collection}/val/cat/leaked.jpg")
    assert inspection(collection).near_pairs_across_splits == (pair,)


def test_blank_pictures_are_not_near_duplicates_of_each_other(collection):
    # Empty pages from one scanner, a little darker on the right.
    for number, split in enumerate(("train", "val")):
        page = Image.linear_gradient("L").rotate(90).point(lambda value: 255 - value // 80)
        saved(page.resize((300 + number, 200)).convert("RGB"), collection / split / "cat" / "page.png")
    assert set(by_code(inspection(collection))) == {"blank"}


def test_pictures_smaller_than_the_thumbnail_are_not_compared(tmp_path):
    for number in range(8):
        label = ("a", "b")[number % 2]
        saved(blurred(0, size=(16, 16), detail=4), tmp_path / label / f"{number}.jpg", quality=80 + number)
    assert by_code(inspection(tmp_path)) == {}


def test_errors_come_first_then_warnings_then_notes():
    table = inspected(["a", "a", "b"], fault=[None, None, "broken"], frames=[1, 2, 1], dominant_share=[0.0, 1.0, 0.0])
    found = inspection_of(table)
    assert [finding.code for finding in found.errors] == ["unreadable", "empty-class", "one-class"]
    assert [finding.code for finding in found.warnings] == ["blank"]
    assert [finding.code for finding in found.notes] == ["many-frames"]
    assert found.errors + found.warnings + found.notes == found.findings


def test_a_table_of_unreadable_images_only_is_inspected_too():
    found = inspection_of(inspected(["a", "b"], fault=["broken", "broken"]))
    assert set(by_code(found)) == {"unreadable", "empty-class"}
    assert found.summary["width"] == {"min": 0, "median": 0, "max": 0}


@pytest.mark.parametrize("workers", [0, 1])
def test_progress_is_told_from_start_to_end(collection, workers):
    events = []
    begin_inspection(read_image_table(collection).rows, workers=workers).result(events.append)
    assert events[0] == WorkStarted("reading images", 18)
    assert events[-1] == WorkEnded("reading images")
    assert sum(event.by for event in events if isinstance(event, WorkAdvanced)) == 18


def test_reading_goes_on_while_the_caller_does_something_else(collection):
    pending = begin_inspection(read_image_table(collection).rows, workers=2)
    deadline = time.monotonic() + 30
    while pending.done < 18 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pending.done == 18


def test_a_fault_while_reading_reaches_the_caller(collection):
    def facts():
        yield FileFacts("0")
        raise SystemFault("a worker process died", hint="try again")

    pending = PendingInspection(read_image_table(collection).rows, facts(), in_background=True)
    with pytest.raises(SystemFault, match="a worker process died\nhint: try again"):
        pending.result()


def test_a_dropped_inspection_stops_reading(collection):
    taken = []

    def facts():
        while True:
            taken.append(time.sleep(0.001))
            yield FileFacts("0")

    pending = PendingInspection(read_image_table(collection).rows, facts(), in_background=True)
    del pending
    gc.collect()
    time.sleep(0.2)
    so_far = len(taken)
    time.sleep(0.2)
    assert len(taken) == so_far


def test_a_dropped_inspection_does_not_keep_the_program_waiting(tmp_path):
    path = saved(blurred(0, size=(1600, 1200)), tmp_path / "a.png")
    script = (
        "import time\nfrom vitrail.data.columns import rows\nfrom vitrail.data.inspection import begin_inspection\n"
        f"pending = begin_inspection(rows(path=[{path!r}] * 20_000, label=['a'] * 20_000), workers=1)\n"
        "time.sleep(0.5)\nraise SystemExit('something else failed')\n"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stderr.strip() == "something else failed"
    # All of them would take minutes.
    assert time.monotonic() - start < 40


def test_the_inspection_imports_neither_torch_nor_pandas_nor_scikit_learn():
    script = (
        "import sys, vitrail.data.inspection.contact_sheet, vitrail.data.inspection.pending, vitrail.data.reading\n"
        "print(sorted({'torch', 'torchvision', 'timm', 'pandas', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_contact_sheet_shows_a_row_for_every_class(collection):
    rows = read_image_table(collection).rows
    sheet = contact_sheet(rows, per_class=4, thumbnail_pixels=50)
    assert sheet.mode == "RGB"
    assert sheet.size == (160 + 4 * 54 + 4, 2 * 54 + 4)
    assert sheet.tobytes() == contact_sheet(rows, per_class=4, thumbnail_pixels=50).tobytes()
    # Something is drawn in every place, and in the column of names.
    drawn = np.asarray(sheet).min(axis=2) < 200
    assert all(drawn[4 + 54 * row : 54 + 54 * row, 160 + 54 * column : 210 + 54 * column].any()
               for row in range(2) for column in range(4))  # fmt: skip
    assert drawn[:, :160].any()


def test_the_contact_sheet_passes_over_unreadable_images(collection):
    for path in sorted((collection / "train" / "cat").iterdir())[:4]:
        path.write_bytes(b"broken")
    sheet = np.asarray(contact_sheet(read_image_table(collection).rows, per_class=5, thumbnail_pixels=50))
    # Five readable cats are left: the last place of the first row is filled.
    assert (sheet[4:54, 160 + 4 * 54 : 160 + 4 * 54 + 50] < 250).any()


def test_tiny_pictures_are_enlarged_on_the_contact_sheet(tmp_path):
    saved(Image.new("L", (8, 8), 0), tmp_path / "a" / "0.png")
    sheet = np.asarray(contact_sheet(read_image_table(tmp_path).rows, per_class=1, thumbnail_pixels=96))
    assert (sheet[4:100, 160:256] == 0).all()


def test_classes_are_shown_as_people_count(tmp_path):
    for label, brightness in (("1", 10), ("2", 100), ("10", 200)):
        (tmp_path / label).mkdir()
        Image.new("RGB", (20, 20), (brightness, brightness, brightness)).save(tmp_path / label / "a.png")
    sheet = np.asarray(contact_sheet(read_image_table(tmp_path).rows, per_class=1, thumbnail_pixels=40))
    column = sheet[:, -25, 0]
    assert [value for value in dict.fromkeys(column.tolist()) if value < 255] == [10, 100, 200]
    classes = {label: {"train": 1} for label in ("1", "10", "2")}
    same = {"min": 1, "median": 1, "max": 1}
    empty = {
        "images": 3,
        "total_bytes": 9,
        "splits": {"train": 3},
        "width": same,
        "height": same,
        "formats": {},
        "modes": {},
    }
    table = summary_words({**empty, "classes": classes}).splitlines()[2:6]
    assert [line.split()[0] for line in table] == ["class", "1", "2", "10"]


def test_the_contact_sheet_says_how_many_classes_it_leaves_out(tmp_path):
    for number in range(33):
        saved(Image.new("L", (9, 9), number), tmp_path / f"a class with a very long name {number:02d}" / "0.png")
    sheet = contact_sheet(read_image_table(tmp_path).rows, per_class=1, thumbnail_pixels=20)
    assert sheet.height == 30 * 24 + 4 + 28
    assert (np.asarray(sheet)[30 * 24 + 4 :] < 200).any()
    # Long names end before the thumbnails begin.
    assert (np.asarray(sheet)[: 30 * 24, 156:160] > 250).all()


def test_the_odd_file_among_the_ants_is_named_and_nothing_else_is_wrong(real_data):
    found = inspection(real_data / "hymenoptera", workers=2)
    assert set(by_code(found)) == {"odd-file"}
    assert [line.rpartition("/")[2] for line in by_code(found)["odd-file"].details] == ["imageNotFound.gif: GIF P"]
    assert found.summary["splits"] == {"train": 245, "val": 153}


def test_the_rgba_trap_of_the_ct_slices_is_found(real_data):
    found = inspection(real_data / "covid_ct", workers=2)
    assert not found.errors
    told = [finding for finding in found.warnings if finding.code == "telltale-property"]
    mode = next(finding for finding in told if "storage mode" in finding.title)
    assert mode.title == "the storage mode alone predicts the class: balanced accuracy 72.0%, chance 50.0%"
    assert "RGBA: CT_COVID 174" in mode.details
    # The same slice is a training image without and a test image with the disease.
    assert any("71%0.jpg" in one and "kjr-21-e24-p5-29.png" in other for one, other in found.near_pairs_across_splits)


def test_dermatoscopy_of_one_source_gives_no_false_alarm(real_data, tmp_path):
    table = pyarrow.csv.read_csv(real_data / "ham10000" / "labels.csv")
    paths = [str(real_data / "ham10000" / path) for path in table["path"].to_pylist()]
    rows = read_image_table(
        pa.table({"path": paths, "label": table["dx"].cast(pa.string()), "group": table["lesion_id"]})
    )
    assert begin_inspection(rows.rows, workers=2).result().findings == ()


def test_in_python_the_result_shows_what_the_terminal_shows(collection):
    (collection / "train" / "cat" / "broken.jpg").write_bytes(b"x")
    shown = repr(inspection(collection))
    assert shown.startswith("19 images in 2 classes, ")
    assert "\nclass  train  val\n" in shown
    assert "error    1 image of 19 cannot be read\n         train/cat/broken.jpg: is not an image" in shown
    assert shown.endswith("\n1 to fix, 0 to look at.")
    assert "pyarrow" not in shown
    assert len(shown) < 10_000


def test_of_many_classes_the_largest_and_the_smallest_are_shown():
    labels = [f"c{number:03}" for number in range(100) for _ in range(number + 1)]
    summary = summary_of(inspection_of(inspected(labels)).table)
    shown = summary_words(summary).splitlines()
    assert shown[0].startswith("5,050 images in 100 classes, ")
    assert [line.split()[0] for line in shown[3:15]] == [f"c{number:03}" for number in range(99, 87, -1)]
    assert shown[15].startswith("… 76 more (--full)")
    assert shown[27].split() == ["c000", "1"]
    assert len(summary_words(summary, full=True).splitlines()) == len(shown) + 75
    assert summary_words(summary_of(inspected(["a"]))).startswith("1 image in 1 class, ")


def test_where_paths_share_the_root_alone_they_are_shown_whole():
    from vitrail.data.columns import shared_folder, without_folder

    apart = pa.table({"path": ["/a/x.png", "/b/y.png"]})
    assert without_folder("/a/x.png: broken = /b/y.png (cat/dog)", shared_folder(apart)) == (
        "/a/x.png: broken = /b/y.png (cat/dog)"
    )
    near = pa.table({"path": ["/a/b/a/x.png", "/a/y.png"]})
    assert without_folder("/a/b/a/x.png ≈ /a/y.png (a/a/)", shared_folder(near)) == "b/a/x.png ≈ y.png (a/a/)"
