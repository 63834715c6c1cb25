import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vitrail.basics.errors import InputError, SettingsError, SystemFault
from vitrail.basics.events import Noted, WorkAdvanced, WorkEnded, WorkStarted
from vitrail.basics.locks import locked
from vitrail.data.formula.rendering import formula_class, formula_image
from vitrail.data.formula.settings import FormulaSettings
from vitrail.data.formula.stored_images import PIECE, stored_formula_images

SMALL = FormulaSettings(classes=6, renderings=PIECE + 3, image_size=16)


def set_folder(folder: Path) -> Path:
    (inside,) = folder.iterdir()
    return inside


def set_bytes(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(set_folder(folder).iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with the small set, rendered without interruption in this process."""
    folder = tmp_path_factory.mktemp("whole")
    stored_formula_images(SMALL, folder, workers=0)
    return folder


class Listener(list):
    def __call__(self, event):
        self.append(event)

    @property
    def rendered(self) -> int:
        return sum(event.by for event in self if isinstance(event, WorkAdvanced))


def test_row_i_is_rendering_i_div_classes_of_class_i_mod_classes(tmp_path):
    stored = stored_formula_images(SMALL, tmp_path, workers=0)
    assert stored.pixels.shape == (6 * (PIECE + 3), 16, 16, 3)
    assert len(stored) == len(stored.labels) == 6 * (PIECE + 3)
    for row in (0, 5, 6, 100, len(stored) - 1):
        assert stored.labels[row] == row % 6
        np.testing.assert_array_equal(stored.pixels[row], formula_image(SMALL, row % 6, row // 6))
    assert not stored.pixels.flags.writeable
    assert stored.redrawn == sum(formula_class(SMALL, number).redrawn for number in range(6))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path, whole, workers):
    stored_formula_images(SMALL, tmp_path, workers=workers)
    assert set_bytes(tmp_path) == set_bytes(whole)


def test_what_is_there_is_not_rendered_again(whole):
    before, heard = set_bytes(whole), Listener()
    stored = stored_formula_images(SMALL, whole, workers=0, emit=heard)
    assert not heard.rendered
    assert set_bytes(whole) == before
    np.testing.assert_array_equal(stored.pixels[7], formula_image(SMALL, 1, 1))


def test_progress_is_told_image_by_image_and_redrawn_numbers_at_the_end(tmp_path):
    strict, heard = SMALL.model_copy(update={"least_filled": 0.3}), Listener()
    stored = stored_formula_images(strict, tmp_path, workers=0, emit=heard)
    assert heard[0] == WorkStarted("formula images", 6 * (PIECE + 3))
    assert heard.rendered == 6 * (PIECE + 3)
    assert heard[-2] == WorkEnded("formula images")
    assert stored.redrawn == sum(formula_class(strict, number).redrawn for number in range(6)) > 0
    assert heard[-1] == Noted(f"numbers were drawn again {stored.redrawn} times because their image was almost empty")


def test_a_set_that_was_killed_half_way_ends_with_the_same_bytes(tmp_path):
    settings = FormulaSettings(classes=120, renderings=8, image_size=32)
    killed, whole, heard = tmp_path / "killed", tmp_path / "whole", Listener()
    code = (
        "from pathlib import Path\nfrom vitrail.data.formula.settings import FormulaSettings\n"
        "from vitrail.data.formula.stored_images import stored_formula_images\n"
        f"stored_formula_images(FormulaSettings.parse(**{settings.model_dump()!r}), Path({str(killed)!r}), workers=0)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    # Six bytes for each class, the first of which says that it is done.
    while process.poll() is None and not any(m.read_bytes()[6 * 20 :][:1] == b"\1" for m in killed.glob("*/marks.bin")):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    stored_formula_images(settings, killed, workers=0, emit=heard)
    assert 0 < heard.rendered < 960
    assert not any(isinstance(event, Noted) and event.level == "warning" for event in heard)
    stored_formula_images(settings, whole, workers=0)
    assert set_bytes(killed) == set_bytes(whole)


def test_an_altered_image_is_rendered_again_with_those_that_were_checked_with_it_and_told(tmp_path, whole):
    stored_formula_images(SMALL, tmp_path, workers=0)
    with open(set_folder(tmp_path) / "pixels.u8", "r+b") as file:
        file.seek(16 * 16 * 3 * 4)
        file.write(b"altered")
    heard = Listener()
    stored_formula_images(SMALL, tmp_path, workers=0, emit=heard)
    assert heard[0] == Noted(
        f"{PIECE} stored formula images are not what was written and are rendered again", "warning"
    )
    assert heard.rendered == PIECE
    assert set_bytes(tmp_path) == set_bytes(whole)


@pytest.mark.parametrize("name", ["pixels.u8", "marks.bin"])
@pytest.mark.parametrize("length", [None, 0, 100])
def test_a_file_that_was_cut_or_removed_is_made_anew(tmp_path, whole, name, length):
    stored_formula_images(SMALL, tmp_path, workers=0)
    file = set_folder(tmp_path) / name
    if length is None:
        file.unlink()
    else:
        os.truncate(file, length)
    stored_formula_images(SMALL, tmp_path, workers=0)
    assert set_bytes(tmp_path) == set_bytes(whole)


def test_sets_with_other_settings_stand_side_by_side(tmp_path):
    stored_formula_images(SMALL, tmp_path, workers=0)
    other = SMALL.model_copy(update={"formula_seed": 1, "renderings": 1})
    assert len(stored_formula_images(other, tmp_path, workers=0)) == 6
    assert len(list(tmp_path.iterdir())) == 2
    heard = Listener()
    stored_formula_images(SMALL, tmp_path, workers=0, emit=heard)
    assert not heard.rendered


def test_two_processes_do_not_render_one_set(tmp_path):
    stored_formula_images(SMALL, tmp_path, workers=0)
    lock = locked(set_folder(tmp_path), thing="set of formula images")
    with pytest.raises(InputError) as fault:
        stored_formula_images(SMALL, tmp_path, workers=0)
    lock.release()
    assert str(fault.value) == (
        f"{set_folder(tmp_path)}: another process is working on this set of formula images\n"
        "hint: wait for it, or choose another --out"
    )


def test_a_set_that_the_disk_cannot_hold_is_refused_before_anything_is_rendered(tmp_path):
    huge = FormulaSettings(classes=10**7, renderings=10**4, image_size=512)
    with pytest.raises(SystemFault) as fault:
        stored_formula_images(huge, tmp_path, workers=0)
    free = re.search(r"and (\d+\.\d) GB are free", str(fault.value))
    assert free
    assert str(fault.value) == (
        f"{set_folder(tmp_path)}: the formula images take 78643218.8 GB, and {free[1]} GB are free\n"
        "hint: ask for less with --set renderings=4 or --set image_size=64, or choose a place with more space"
    )
    assert not (set_folder(tmp_path) / "pixels.u8").exists()


def test_a_class_that_cannot_be_drawn_ends_the_rendering_with_its_error(tmp_path):
    impossible, heard = SMALL.model_copy(update={"least_filled": 0.9}), Listener()
    with pytest.raises(SettingsError, match=r"class 0 \(fractal\): 100 draws in a row"):
        stored_formula_images(impossible, tmp_path, workers=1, emit=heard)
    assert heard[-1] == WorkEnded("formula images")
