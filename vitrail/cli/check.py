"""`vitrail check`: what is in a data set, and what must be mended."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitrail.basics.errors import InputError
from vitrail.basics.printable import printable
from vitrail.cli.options import Columns, Quiet, Workers, with_columns
from vitrail.cli.output import reader_may_leave, tell
from vitrail.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from vitrail.data.inspection import Inspection

_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}
_SHOWN_DETAILS = 8
_SHEET_FORMATS = (".jpg", ".jpeg", ".png", ".webp")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(rich_help_panel="First proof")(check)


def check(
    data: Annotated[str, typer.Argument(help="Folder of class folders, CSV or Parquet file, or `digits`.")],
    columns: Columns = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet of every class to this image file.")] = None,
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
    with TerminalProgress(quiet=quiet) as progress:
        inspection = run_check(with_columns(data, columns), workers=workers, emit=progress)
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

    with explained_os_errors(sheet):
        sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(inspection.table).save(sheet)


def show(inspection: "Inspection", *, full: bool) -> None:
    """Print summary and findings for a person."""
    summary = inspection.summary
    from vitrail.data.columns import shared_folder, without_folder

    folder = shared_folder(inspection.table)
    tell(_counts(summary))
    for finding in inspection.findings:
        style = _STYLES[finding.severity]
        tell(f"\n{finding.severity:<8} {printable(finding.title)}", colour=style)
        shown = finding.details if full else finding.details[:_SHOWN_DETAILS]
        for detail in shown:
            tell(f"         {printable(without_folder(detail, folder))}")
        if len(finding.details) > len(shown):
            tell(f"         (+{len(finding.details) - len(shown)} more; --full lists them)")
        if finding.hint:
            tell(f"         hint: {finding.hint}")
    tell(f"\n{_verdict(inspection)}")


def _counts(summary: dict) -> str:
    """What is there, as a small table of classes by split."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    splits = [split for split in ("train", "val", "test", "none") if split in summary["splits"]]
    headings = ["images" if split == "none" else split for split in splits]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("class")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, counts in summary["classes"].items():
        table.add_row(Text(printable(name)), *(f"{counts.get(split, 0):,}" for split in splits))
    console = Console(highlight=False, width=100)
    with console.capture() as capture:
        console.print(table)
    width, height = summary["width"], summary["height"]
    kinds = ", ".join(f"{count:,} {name}" for name, count in {**summary["formats"], **summary["modes"]}.items())
    return (
        f"{summary['images']:,} images in {len(summary['classes'])} classes, {summary['total_bytes'] / 1e6:,.1f} MB\n\n"
        f"{capture.get().rstrip()}\n\n"
        f"sizes    {width['min']}-{width['max']} × {height['min']}-{height['max']} pixels, "
        f"median {width['median']} × {height['median']}\n"
        f"kinds    {kinds}"
    )


def _verdict(inspection: "Inspection") -> str:
    errors, warnings = len(inspection.errors), len(inspection.warnings)
    if errors:
        return f"{errors} to fix, {warnings} to look at."
    return f"Nothing to fix, {warnings} to look at." if warnings else "Nothing to fix."
