"""`vitrail check`: what is in a data set, and what must be mended."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitrail.basics.errors import InputError
from vitrail.cli.options import Columns, Quiet, Workers, with_columns
from vitrail.cli.output import reader_may_leave, tell
from vitrail.pages.progress import ProgressBars

if TYPE_CHECKING:
    from vitrail.data.inspection import Inspection

_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}
_SHEET_FORMATS = (".jpg", ".jpeg", ".png", ".webp")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(check)


def check(
    data: Annotated[str, typer.Argument(help="Folder of class folders, CSV or Parquet file, or `digits`.")],
    columns: Columns = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet of every class to this image file.")] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="PACKAGE", help="A package, or the run that made it: say which images it was trained on."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="List every file of every finding.")] = False,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Look at a data set: classes, splits, unreadable files, duplicates, leaks, telltale file properties.

    Ends with exit code 1 when something must be fixed.
    """
    from vitrail.workflows.check import check as run_check

    if sheet is not None and sheet.suffix.lower() not in _SHEET_FORMATS:
        known = ", ".join(_SHEET_FORMATS)
        raise InputError(f"--sheet {sheet}: not a picture's extension", hint=f"end the name in one of {known}")
    if sheet is not None and Path(data).is_dir() and sheet.resolve().is_relative_to(Path(data).resolve()):
        raise InputError(
            f"--sheet {sheet}: lies in {data}, where it would be taken for one of the images",
            hint=f"write it somewhere else, e.g. --sheet {Path(data).resolve().parent / sheet.name}",
        )
    with ProgressBars(quiet=quiet) as progress:
        inspection = run_check(with_columns(data, columns), workers=workers, against=against, emit=progress)
    with reader_may_leave():
        if as_json:
            typer.echo(json.dumps(inspection.as_json(), indent=2, ensure_ascii=False))
        else:
            show(inspection, full=full)
    if sheet is not None:
        _write_sheet(inspection, sheet)
        tell(f"contact sheet: {sheet}", err=True)
    raise typer.Exit(1 if inspection.errors else 0)


def _write_sheet(inspection: "Inspection", sheet: Path) -> None:
    from vitrail.basics.files import explained_os_errors
    from vitrail.data.inspection.contact_sheet import contact_sheet

    if str(sheet.resolve()) in set(map(os.path.realpath, inspection.table["path"].to_pylist())):
        raise InputError(f"--sheet {sheet}: is one of the images", hint="give the sheet another name")
    with explained_os_errors(sheet):
        sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(inspection.table).save(sheet)


def show(inspection: "Inspection", *, full: bool) -> None:
    """Print summary and findings for a person, the findings in the colour of their severity."""
    for line in inspection.lines(full=full):
        tell(line, colour=_STYLES.get(line[:9].rstrip()))
