"""What bad input gets: what, where, a hint, the right exit code, and nothing lost."""

import json
import os
import pickle
import shutil

import pytest
from PIL import Image

from tests.conftest import picture

RANDOM = ["--preset", "quick", "--model", "test_vit", "--set", "pretrained=false", "--set", "image_size=32"]


@pytest.fixture
def fit(vitrail, tmp_path):
    def run(data, *arguments):
        return vitrail("fit", data, *RANDOM, "--out", tmp_path / "run", *arguments)

    return run


def bad_files(folder):
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.jpg").write_text("<html>404 not found</html>")
    good = (folder / "000.png").read_bytes()
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    os.symlink(folder / "nothing.png", folder / "link.png")
    Image.new("1", (20_000, 20_000)).save(folder / "vast.png")
    return {
        "zero.png": "is empty (0 bytes)",
        "text.jpg": "is not an image but text (a web page)",
        "cut.png": "is truncated",
        "link.png": "is a link to nowhere",
        "vast.png": "is too large: 20000 × 20000 pixels, the limit is 178,956,970 in all",
    }


def test_every_kind_of_bad_file_is_named_with_its_fault_and_stops_the_fit_before_any_work(fit, write_images, tmp_path):
    folder = write_images({"cat": 12, "dog": 12})
    faults = bad_files(folder / "cat")
    ended = fit(folder)
    assert ended.code == 1
    for name, fault in faults.items():
        assert any(name in line and fault in line for line in ended.err.splitlines()), (name, ended.err)
    assert "hint: mend or remove these files, or leave them out with --on-bad-image skip" in ended.err
    assert not (tmp_path / "run" / "package").exists()


def test_bad_files_can_be_skipped_and_are_named_all_the_same(fit, write_images, tmp_path):
    folder = write_images({"cat": 12, "dog": 12})
    faults = bad_files(folder / "cat")
    ended = fit(folder, "--on-bad-image", "skip", "--json")
    assert ended.code == 0, ended.err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert sum(sum(counts.values()) for counts in report["sections"]["model"]["figures"]["images"].values()) == 24
    details = "\n".join(
        line for finding in report["sections"]["findings"]["figures"]["findings"] for line in finding["details"]
    )
    assert all(name in details for name in faults)


def test_check_ends_with_1_for_what_must_be_fixed_and_with_0_for_a_clean_set(vitrail, write_images):
    folder = write_images({"cat": 6, "dog": 6})
    assert vitrail("check", folder).code == 0
    bad_files(folder / "cat")
    ended = vitrail("check", folder, "--json")
    assert ended.code == 1
    found = json.loads(ended.out)
    assert not found["ok"]
    assert len(found["summary"]["unreadable"]) == 5


def test_an_empty_folder_and_one_class_and_a_class_in_two_spellings(fit, write_images, tmp_path):
    (tmp_path / "empty").mkdir()
    ended = fit(tmp_path / "empty")
    assert ended.code == 2
    assert "no images found" in ended.err
    assert "hint: expected one folder per class" in ended.err
    ended = fit(write_images({"cat": 5}, under="one"))
    assert ended.code == 1
    assert "hint:" in ended.err
    ended = fit(write_images({"Cat": 5, "cat": 5, "dog": 5}, under="spelling"))
    assert ended.code == 1
    assert "'Cat'" in ended.err


def test_a_class_with_one_image_is_warned_about_and_trained_on(fit, write_images):
    ended = fit(write_images({"cat": 10, "dog": 10, "owl": 1}))
    assert ended.code == 0, ended.err
    assert "owl" in ended.err


def test_a_label_that_training_lacks_is_refused(fit, write_images):
    write_images({"cat": 5, "dog": 5}, under="images/train")
    folder = write_images({"cat": 3, "dog": 3, "owl": 2}, under="images/val", seed=1).parent
    ended = fit(folder)
    assert ended.code == 1
    assert "owl" in ended.err


def test_a_csv_with_a_missing_column_or_missing_files(fit, write_images):
    folder = write_images({"cat": 3})
    (folder / "a.csv").write_text("file,label\ncat/000.png,cat\n")
    ended = fit(folder / "a.csv")
    assert ended.code == 2
    assert "no column 'path'" in ended.err
    ended = fit(folder / "a.csv", "--columns", "path=fil")
    assert ended.code == 2
    assert "no column 'fil' for path; it has file, label" in ended.err
    (folder / "b.csv").write_text("path,label\ncat/000.png,cat\ncat/gone.png,cat\n")
    ended = fit(folder / "b.csv")
    assert ended.code == 2
    assert "1 of 2 images do not exist" in ended.err


def test_two_misspelled_settings_are_both_named(fit, write_images):
    ended = fit(write_images({"cat": 3, "dog": 3}), "--set", "batchsize=3", "--set", "validation_fracton=0.3")
    assert ended.code == 2
    assert "unknown setting 'batchsize' - did you mean batch_size?" in ended.err
    assert "unknown setting 'validation_fracton' - did you mean validation_fraction" in ended.err


def test_an_unknown_model_name_gets_the_nearest_names(vitrail, write_images, tmp_path):
    folder = write_images({"cat": 3, "dog": 3})
    ended = vitrail("fit", folder, "--model", "vit_tinny_patch16_224", "--out", tmp_path / "run")
    assert ended.code == 2
    assert "vit_tiny_patch16_224" in ended.err


def test_a_pickle_renamed_to_safetensors_is_refused_and_never_run(vitrail, write_images, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps(Bomb()))
    ended = vitrail(
        "fit", write_images({"cat": 3, "dog": 3}), "--model", tmp_path / "weights.safetensors",
        "--set", "architecture=test_vit", "--out", tmp_path / "run",
    )  # fmt: skip
    assert ended.code == 2
    assert "weights.safetensors" in ended.err
    assert not (tmp_path / "exploded").exists()


def test_a_finished_run_is_not_replaced_and_a_strangers_folder_never(fit, write_images, tmp_path):
    folder = write_images({"cat": 8, "dog": 8})
    assert fit(folder).code == 0
    before = (tmp_path / "run" / "report.json").read_bytes()
    ended = fit(folder)
    assert ended.code == 2
    assert "a finished run stands there" in ended.err
    assert (tmp_path / "run" / "report.json").read_bytes() == before
    assert fit(folder, "--overwrite").code == 0
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    assert fit(folder, "--overwrite").code == 2
    assert (tmp_path / "run" / "thesis.tex").exists()


def test_a_failed_replacement_and_a_corrected_mistake_lose_nothing_and_block_nobody(fit, write_images, tmp_path):
    folder = write_images({"cat": 8, "dog": 8})
    assert fit(folder).code == 0
    before = (tmp_path / "run" / "report.json").read_bytes()
    (folder / "cat" / "bad.png").write_bytes(b"")
    assert fit(folder, "--overwrite").code == 1
    assert (tmp_path / "run" / "report.json").read_bytes() == before
    shutil.rmtree(tmp_path / "run")
    assert fit(folder).code == 1
    assert fit(folder, "--on-bad-image", "skip").code == 0, "the hint can be followed at once"


def test_look_alikes_across_the_split_that_was_drawn_are_told_and_counted_out(fit, tmp_path):
    for index in range(30):
        for label, hue in (("cat", 0), ("dog", 1)):
            image = picture(1000 * hue + index, size=(96, 96), hue=hue)
            (tmp_path / "twins" / label).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "twins" / label / f"{index}.png")
            image.resize((64, 64)).save(tmp_path / "twins" / label / f"{index}.jpg", quality=70)
    ended = fit(tmp_path / "twins")
    assert ended.code == 0, ended.err
    assert "like a training image" in ended.err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    quality = report["sections"]["quality"]["figures"]
    assert quality["leak_free_accuracy"]["n"] < quality["splits"]["val"]["n"]


def test_a_file_name_from_another_encoding_is_named(fit, write_images):
    folder = write_images({"cat": 5, "dog": 5})
    os.rename(folder / "cat" / "000.png", os.fsencode(folder / "cat") + b"/b\xe4r.png")
    ended = fit(folder)
    assert ended.code == 2
    assert "1 file name is not valid UTF-8" in ended.err
    assert r"b\xe4r.png" in ended.err


def test_a_sheet_that_is_no_picture_is_refused_before_the_work(vitrail, write_images, tmp_path):
    ended = vitrail("check", write_images({"cat": 5, "dog": 5}), "--sheet", tmp_path / "sheet.txt")
    assert ended.code == 2
    assert "sheet.txt: not a picture's extension" in ended.err
    assert vitrail("check", tmp_path / "images", "--sheet", tmp_path / "new" / "sheet.jpg").code == 0
    with Image.open(tmp_path / "new" / "sheet.jpg") as sheet:
        assert sheet.width > 100
    ended = vitrail("check", tmp_path / "images", "--sheet", tmp_path / "images" / "sheet.png")
    assert "where it would be taken for one of the images" in ended.err
    image = next((tmp_path / "images").rglob("*.png"))
    (tmp_path / "table.csv").write_text(f"path,label\n{image},a\n{image},b\n")
    before = image.read_bytes()
    assert "is one of the images" in vitrail("check", tmp_path / "table.csv", "--sheet", image).err
    assert image.read_bytes() == before


def test_an_option_that_is_a_setting_gets_a_hint(vitrail, tmp_path):
    assert "hint: --set test_fraction=VALUE" in vitrail("fit", tmp_path, "--test-fraction", "0.2").err


def test_a_place_that_may_not_be_written_is_told(vitrail, write_images, tmp_path):
    folder = write_images({"cat": 3, "dog": 3})
    ended = vitrail("fit", folder, *RANDOM, "--out", "/proc/vitrail/run")
    assert ended.code in (2, 3)
    assert "/proc/vitrail" in ended.err
    assert "hint:" in ended.err


def test_predict_names_what_it_cannot_read_and_answers_the_rest(fit, vitrail, write_images, tmp_path):
    folder = write_images({"cat": 8, "dog": 8})
    assert fit(folder).code == 0
    (tmp_path / "new").mkdir()
    picture(77).save(tmp_path / "new" / "good.png")
    (tmp_path / "new" / "bad.jpg").write_text("no picture")
    ended = vitrail("predict", tmp_path / "run" / "package", tmp_path / "new", "--json")
    assert ended.code == 1
    assert [json.loads(line)["path"] for line in ended.out.splitlines()] == [str(tmp_path / "new" / "good.png")]
    assert "bad.jpg" in ended.err
    assert "runtime  " not in ended.err
    good = vitrail("predict", tmp_path / "run" / "package", tmp_path / "new" / "good.png", "--runtime", "auto")
    assert good.code == 0
    assert good.err.startswith("runtime  torch float32: the reference itself")


def test_a_package_with_a_changed_byte_or_of_a_newer_format_is_refused(fit, vitrail, write_images, tmp_path):
    folder = write_images({"cat": 8, "dog": 8})
    assert fit(folder).code == 0
    package = tmp_path / "run" / "package"
    for name in ("model.safetensors", "config.json", "vitrail.json", "README.md", "SHA256SUMS"):
        shutil.copytree(package, tmp_path / "copy")
        content = bytearray((tmp_path / "copy" / name).read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / "copy" / name).write_bytes(content)
        ended = vitrail("predict", tmp_path / "copy", folder)
        assert ended.code == 2
        assert not ended.out
        assert "hint:" in ended.err
        shutil.rmtree(tmp_path / "copy")


def test_hostile_words_in_class_names_do_no_harm(fit, write_images, tmp_path):
    ended = fit(write_images({"<script>alert(1)<|script>": 8, 'dog, "the"': 8}))
    assert ended.code == 0, ended.err
    assert "<script>alert" not in (tmp_path / "run" / "report.html").read_text()
