import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.unit.data.inspection.rows import blurred, saved
from vitrail.data.image_table import read_image_table
from vitrail.data.inspection import begin_inspection, pictures


def scan(seed: int) -> Image.Image:
    """A slice as of a head: the same outline in all, other tissue in each."""
    dice = np.random.default_rng(seed)
    image = Image.new("L", (256, 256), 0)
    draw = ImageDraw.Draw(image)
    draw.ellipse((30, 12, 226, 244), fill=230)
    draw.ellipse((44, 26, 212, 230), fill=90)
    tissue = Image.fromarray(dice.integers(70, 110, (40, 40), dtype=np.uint8)).resize((120, 140), Image.BICUBIC)
    image.paste(tissue, (68, 58))
    return image


def found(folder):
    inspection = begin_inspection(read_image_table(folder).rows, workers=0).result()
    return {each.code: each for each in inspection.findings}, inspection.table["near_duplicate_cluster"].to_pylist()


@pytest.fixture
def scans(tmp_path):
    for seed in range(12):
        saved(scan(seed), tmp_path / ("tumour" if seed % 2 else "none") / f"{seed:02d}.png")
    return tmp_path


def test_slices_of_one_layout_are_no_copies_of_each_other(scans, monkeypatch):
    codes, clusters = found(scans)
    assert "near-duplicate-across-classes" not in codes
    assert set(clusters) == {None}
    monkeypatch.setattr(pictures, "MOST_CONFIRMED", 0)  # what the hashes alone would say
    assert "near-duplicate-across-classes" in found(scans)[0]


@pytest.mark.parametrize("change", ["recompressed", "smaller", "brighter"])
def test_a_changed_copy_under_another_label_is_found_among_them(change, scans):
    image = scan(4)
    if change == "smaller":
        image = image.resize((128, 128), Image.BICUBIC)
    elif change == "brighter":
        image = image.point(lambda value: min(255, int(value * 1.1)))
    else:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=60)
        image = Image.open(buffer)
    saved(image, scans / "tumour" / "copy.png")
    finding = found(scans)[0]["near-duplicate-across-classes"]
    assert [line.count("04.png") and line.count("copy.png") for line in finding.details] == [1]


def test_a_photograph_and_its_copy_are_still_alike(tmp_path):
    saved(blurred(1), tmp_path / "a" / "1.png")
    saved(blurred(1), tmp_path / "b" / "1.jpg", quality=70)
    saved(blurred(2), tmp_path / "b" / "2.png")
    assert "1 picture looks like one of another class" in found(tmp_path)[0]["near-duplicate-across-classes"].title
