from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import vitrail
from vitrail.basics.calls import call_text, value_text
from vitrail.data.image_table import ImageTable


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("photos",), {}),
        (("it's", 'a "quoted" name'), {}),
        (("line\nbreak", "ä\udce9", r"C:\photos"), {}),
        (("photos",), {"image_size": 96, "seed": np.int64(1), "learning_rate": np.float64(5e-4), "thumbnails": False}),
        (("photos",), {"stages": ["head", "all"], "splits_of": None, "sizes": (32,), "names": {"a": 1}}),
        ((vitrail.table("labels.csv", label="dx", group="patient"),), {"out": "runs/x"}),
    ],
)
def test_the_call_that_a_report_names_is_python_that_calls_the_same(given, named):
    called = {}
    fake = SimpleNamespace(fit=lambda *args, **kwargs: called.update(args=args, kwargs=kwargs), table=vitrail.table)
    eval(call_text(vitrail.fit, *given, **named), {"vitrail": fake})
    assert called["args"] == given
    assert called["kwargs"] == named


def test_what_is_as_it_is_by_default_is_left_out():
    assert call_text(vitrail.fit, Path("photos"), model=None, overwrite=False, workers=0, seed=0) == (
        'vitrail.fit("photos", workers=0, seed=0)'
    )


def test_a_table_is_told_by_its_kind_and_rows_and_never_by_what_is_in_it():
    columns = {"path": ["secret.png"] * 3, "label": ["a", "b", "a"]}
    frame = vitrail.table(pd.DataFrame(columns), label="dx")
    assert call_text(vitrail.fit, pa.table(columns)) == "vitrail.fit(<Table of 3 rows>)"
    assert call_text(vitrail.fit, frame) == 'vitrail.fit(vitrail.table(<DataFrame of 3 rows>, label="dx"))'
    assert value_text(object()) == "<object>"
    assert value_text(ImageTable(pa.table(columns), "scans")) == "<ImageTable of 3 rows>"
