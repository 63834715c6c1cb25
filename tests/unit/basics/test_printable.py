import csv
import io

import pytest

from vitrail.basics.printable import from_spreadsheet_cell, printable, spreadsheet_cell

BIDI = "\u202egnp.exe"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[2J\x1b[31mcat", r"\x1b[2J\x1b[31mcat"),
        ("a\nerror: b\r\tc", r"a\nerror: b\r\tc"),
        ("bell\x07\x00\x7f\x9b31m", r"bell\x07\x00\x7f\x9b31m"),
        (BIDI, r"\u202egnp.exe"),
        ("zero\u200bwidth\ufeff\u2028", r"zero\u200bwidth\ufeff\u2028"),
        ("not utf-8 \udcff, alone \ud800", r"not utf-8 \xff, alone \ud800"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("Ästhetik 猫 [red] عربي نیم\u200cفاصله 👩\u200d🔬", "Ästhetik 猫 [red] عربي نیم\u200cفاصله 👩\u200d🔬"),
    ],
)
def test_a_terminal_sees_names_spelled_out_and_never_obeys_them(name, shown):
    assert printable(name) == shown


def test_our_own_lines_stay():
    assert printable("one\n\ttwo\x1b", lines=True) == "one\n\ttwo\\x1b"


@pytest.mark.parametrize(
    "name",
    ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "'quoted", "''", "＝1+1", "",
     "cat", "a=b", "2", '"=1"', "a,b"],
)  # fmt: skip
def test_a_cell_is_never_a_formula_and_every_name_comes_back(name):
    written = io.StringIO()
    csv.writer(written).writerow([spreadsheet_cell(name)])
    (cell,) = next(csv.reader(io.StringIO(written.getvalue(), newline="")), [""]) or [""]
    assert from_spreadsheet_cell(cell) == name
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert name not in ("cat", "a=b", "2") or cell == name, "what is no formula stays as it is"
