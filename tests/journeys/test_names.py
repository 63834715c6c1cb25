"""Names of files and classes are only ever text: on the terminal, in tables for spreadsheets, and in reports."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.conftest import picture

EVIL = "=1+1 [red]\x1b[31mx"
QUICK = (
    "--model", "test_vit", "--set", "pretrained=false", "--set", "image_size=32", "--workers", "0", "--set",
    "device=cpu", "--stages", "probe", "--seed", "1",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "home" / "ann"
    for label, hue in ((EVIL, 0), ("@dog", 1)):
        (home / label).mkdir(parents=True)
        for index in range(12):
            picture(100 * hue + index, hue=hue).save(home / label / f"{index}.png")
    (home / "@dog" / "0.png").write_text("no picture")
    (home / "@dog" / "new\nline\x1b]0;title\x07.png").write_text("no picture")
    return home


def test_names_reach_terminal_spreadsheet_and_report_as_text_and_paths_stay_at_home(
    folder, vitrail, tmp_path, monkeypatch
):
    checked = vitrail("check", folder, "--workers", 0)
    assert "\x1b" not in checked.out + checked.err
    assert "[red]" in checked.out
    assert r"new\nline\x1b]0;title\x07.png" in checked.out
    monkeypatch.chdir(folder.parent)
    fitted = vitrail("fit", "ann", "--out", "run", "--set", "on_bad_image=skip", *QUICK)
    assert fitted.code == 0, fitted.err
    assert "\x1b" not in fitted.out + fitted.err
    run = folder.parent / "run"
    for file in [*run.glob("*.*"), *(run / "package").iterdir()]:
        if file.suffix in (".html", ".json", ".jsonl", ".md"):
            assert str(tmp_path) not in file.read_text(), file.name
    report = json.loads((run / "report.json").read_text())
    assert all((folder / wrong["path"]).exists() for wrong in report["sections"]["most_wrong"]["figures"]["images"])
    answered = vitrail("predict", "run/package", *sorted((folder / EVIL).glob("*.png"))[:2], "--csv")
    assert answered.code == 0
    rows = list(csv.reader(io.StringIO(answered.out)))
    assert set(rows[0][3:]) == {f"'{EVIL}", "'@dog"}
    assert not any(cell.startswith(("=", "@")) for row in rows for cell in row)
    shown = vitrail("predict", "run/package", sorted((folder / EVIL).glob("*.png"))[0])
    assert "\x1b" not in shown.out
