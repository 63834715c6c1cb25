import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from vitrail.basics.errors import SettingsError
from vitrail.data.adapted_preprocessing import adapted_preprocessing
from vitrail.data.image_table import read_image_table
from vitrail.data.inspection import begin_inspection
from vitrail.data.preprocessing import Preprocessing
from vitrail.data.tone import Tone
from vitrail.workflows.fit.settings import FitSettings


def inspected(folder, *, kind) -> pa.Table:
    for label in ("a", "b"):
        (folder / label).mkdir()
        for number in range(3):
            values = np.random.default_rng(number).integers(0, 200, (8, 8)) + (40 if label == "a" else 0)
            Image.fromarray(values.astype(kind)).save(folder / label / f"{number}.png")
    rows = begin_inspection(read_image_table(folder).rows, workers=0).result().table
    return rows.set_column(rows.column_names.index("split"), "split", pa.array(["train"] * 6))


def tone(rows: pa.Table, **settings) -> Tone:
    images = FitSettings.gather(name="starter", **settings).images
    return adapted_preprocessing(Preprocessing(), rows, images, workers=0).tone


def test_what_is_set_of_the_scale_is_not_measured(tmp_path):
    rows = inspected(tmp_path, kind=np.uint16)
    assert tone(rows) == Tone(black=0, white=255, floats="values", colours="values")
    assert tone(rows, tone_black=-5).black == -5 and tone(rows, tone_black=-5).white == 255
    asked = tone(rows, tone_white=100, tone_window="own", tone_inverted=True, tone_clahe=2)
    assert (asked.white, asked.window, asked.inverted, asked.clahe) == (100, "own", True, 2) and asked.is_measured
    with pytest.raises(SettingsError, match="black must be less than white, got 300 and 255\nhint: --set tone_black=…"):
        tone(rows, tone_black=300)


def test_a_scale_that_is_none_is_refused_before_an_image_is_read():
    with pytest.raises(SettingsError, match="tone_black must be less than tone_white, got 5 and 1"):
        FitSettings.gather(name="starter", tone_black=5, tone_white=1)


def test_for_images_of_8_bits_nothing_changes_that_was_not_asked_for(tmp_path):
    rows = inspected(tmp_path, kind=np.uint8)
    assert tone(rows) == Tone()
    assert tone(rows, tone_inverted=True) == Tone(inverted=True)
    wide = tone(rows, tone_white=4095)  # images of 12 bits that are still to come
    assert (wide.white, wide.floats, wide.colours) == (4095, "values", "values")
