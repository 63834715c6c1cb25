"""CSV and Parquet files as tables with distinct column names, whole or in pieces, whoever wrote them."""

import contextlib
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from vitrail.basics.errors import InputError
from vitrail.basics.files import regular_file
from vitrail.data.cells import distinct_names
from vitrail.data.readers.known import is_named_like_an_image

_BEGINNING = 1 << 20
_BLOCK = 1 << 24  # a row must fit into a block
_EMBEDDED_ROWS, _ROWS = 64, 65_536  # rows at once: with images in them, and without

_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_SHEETS = (".xlsx", ".xls", ".ods", ".numbers")


@dataclass(frozen=True)
class TableFile:
    """A table in a file, not yet read.

    Attributes:
        names: its columns' names, all different.
        repeated: names that stood there several times.
        written: whether every cell was text.
        class_names: for columns of numbers that stand for names, as data sets of Hugging Face say, these names.
    """

    file: Path
    names: list[str]
    repeated: frozenset[str]
    written: bool
    class_names: dict[str, list[str]]
    types: dict[str, pa.DataType]

    def pieces(self, wanted: Sequence[str]) -> Iterator[pa.Table]:
        """Rows of the wanted columns, in pieces: the file is never in memory as a whole.

        Raises:
            InputError: it is damaged, a row has too many or too few cells, or it is in another encoding.
        """
        with explained(self.file):
            yield from (_csv_pieces if self.written else _parquet_pieces)(self, wanted)

    @property
    def embeds_bytes(self) -> bool:
        """Whether rows may be large, because whole files stand in them."""
        return any(pa.types.is_nested(kind) or "binary" in str(kind) for kind in self.types.values())


def opened_table(file: Path) -> TableFile:
    """Look at the beginning of a `.csv`, `.tsv`, `.parquet` or `.pq` file.

    Raises:
        InputError: the file is of another kind, or no valid table.
    """
    extension = file.suffix.lower()
    if extension not in (".csv", ".tsv", ".parquet", ".pq"):
        raise InputError(f"{file}: a file that is neither .csv, .tsv nor .parquet", hint=_instead_of(file, extension))
    with explained(file):
        if extension in (".csv", ".tsv"):
            names = _CsvForm.of(file).header
            texts = dict.fromkeys(distinct_names(names), pa.string())
            return TableFile(file, distinct_names(names), _repeated(names), True, {}, texts)
        with regular_file(file) as content, pyarrow.parquet.ParquetFile(content) as opened:
            schema = opened.schema_arrow
    names = distinct_names(schema.names)
    types = dict(zip(names, schema.types, strict=True))
    return TableFile(file, names, _repeated(schema.names), False, _class_names(schema), types)


@contextlib.contextmanager
def explained(file: Path) -> Iterator[None]:
    """What pyarrow raises in the block, as an error that names the file and the cause where it is known."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError, csv.Error) as error:
        if "UTF8" in str(error) or isinstance(error, UnicodeError):
            raise _other_encoding(file) from error
        raise InputError(f"{file}: not a valid table: {error}", hint="open it and look at the named row") from error


def _instead_of(file: Path, extension: str) -> str:
    folder = file.with_suffix("")
    if extension in ARCHIVES:
        command = (
            "unzip" if extension == ".zip" else "tar -xf" if ".tar" in file.suffixes or extension == ".tgz" else ""
        )
        how = f"unpack it, e.g. {command} '{file}' {'-d' if extension == '.zip' else '-C'} '{folder}'"
        return f"{how}, then give {folder}" if command else f"unpack it, and give what is inside instead of {file.name}"
    if extension in _SHEETS:
        return "save the sheet as CSV (UTF-8) and give that"
    if is_named_like_an_image(file.name):
        return "that is a single image; give its folder, with a folder for each class"
    return "give a folder of class folders, or a table with the columns path and label"


def _repeated(names: Sequence[str]) -> frozenset[str]:
    plain = [str(name).strip() for name in names]
    return frozenset(name for name in plain if plain.count(name) > 1)


def _other_encoding(file: Path) -> InputError:
    where = ""
    with regular_file(file) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                where = f": byte {line[error.start]:#04x} in line {number}"
                break
    saved = f"iconv -f WINDOWS-1252 -t UTF-8 '{file}' > '{file.with_stem(file.stem + '-utf8')}'"
    return InputError(f"{file}: is not written in UTF-8{where}", hint=f"save it as UTF-8, e.g. {saved}")


@dataclass(frozen=True)
class _CsvForm:
    """How a CSV file is written.

    Attributes:
        skipped: lines up to and with the one that names the columns.
    """

    encoding: str
    delimiter: str
    skipped: int
    header: list[str]

    @classmethod
    def of(cls, file: Path) -> "_CsvForm":
        with regular_file(file) as opened:
            beginning = opened.read(_BEGINNING)
        encoding = _encoding(beginning, file)
        text = beginning.decode(encoding, errors="replace").lstrip("\ufeff")
        lines = text.splitlines()
        blank = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
        heading = lines[blank] if blank < len(lines) else ""
        # Spreadsheets say in a line of its own, where they are asked to, what stands between their cells.
        said = re.fullmatch(r'\s*"?sep=(.)"?[\t,;]*\s*', heading, re.IGNORECASE)
        if said:
            blank += 1
            heading = lines[blank] if blank < len(lines) else ""
        delimiter = said[1] if said else _delimiter(heading)
        reader = csv.reader(io.StringIO("\n".join(lines[blank:])), delimiter=delimiter)
        header = next(reader, [])
        if not header:
            raise InputError(f"{file}: the table is empty", hint="its first line names the columns: path,label")
        return cls(encoding, delimiter, blank + reader.line_num, header)


def _encoding(beginning: bytes, file: Path) -> str:
    for mark, name in _MARKS:
        if beginning.startswith(mark):
            return name
    start = beginning[:4096]
    if start.startswith((b"PK\3\4", b"\xd0\xcf\x11\xe0", b"PAR1")):
        raise InputError(f"{file}: not a text but binary data", hint="save the sheet as CSV (UTF-8) and give that")
    if start.count(b"\0") <= len(start) // 4:
        return "utf-8"
    return "utf-16-le" if start[1:2] == b"\0" else "utf-16-be"


def _delimiter(heading: str) -> str:
    """Tab, comma, semicolon (half of Europe) or bar: whichever the first line has most of, outside quotation marks."""
    outside = re.sub(r'"[^"]*"', "", heading)
    return max(",\t;|", key=outside.count)


def _csv_pieces(table: TableFile, wanted: Sequence[str]) -> Iterator[pa.Table]:
    form = _CsvForm.of(table.file)
    # No cell is guessed to be missing, a number or a truth value: they are text.
    types = dict.fromkeys(table.names, pa.string())
    converting = pyarrow.csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True, true_values=[], false_values=[],
        include_columns=list(wanted),
    )  # fmt: skip
    reading = pyarrow.csv.ReadOptions(
        block_size=_BLOCK, encoding=form.encoding, column_names=table.names, skip_rows=form.skipped
    )
    parsing = pyarrow.csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True)
    with _opened_csv(table.file, reading, parsing, converting) as opened:
        for batch in opened:
            yield pa.Table.from_batches([batch])


@contextlib.contextmanager
def _opened_csv(
    file: Path,
    reading: pyarrow.csv.ReadOptions,
    parsing: pyarrow.csv.ParseOptions,
    converting: pyarrow.csv.ConvertOptions,
) -> Iterator[Iterator[pa.RecordBatch]]:
    try:
        with pyarrow.csv.open_csv(
            file, read_options=reading, parse_options=parsing, convert_options=converting
        ) as opened:
            yield opened
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):  # nothing stands below the names
            raise
        yield iter(())


def _parquet_pieces(table: TableFile, wanted: Sequence[str]) -> Iterator[pa.Table]:
    with regular_file(table.file) as content, pyarrow.parquet.ParquetFile(content) as opened:
        theirs = opened.schema_arrow.names
        position = {name: number for number, name in enumerate(table.names)}
        asked = [name for name in dict.fromkeys(theirs) if name in {theirs[position[each]] for each in wanted}]
        size = _EMBEDDED_ROWS if any(pa.types.is_nested(table.types[name]) for name in wanted) else _ROWS
        kept = [name for name, their in zip(table.names, theirs, strict=True) if their in asked]
        for batch in opened.iter_batches(batch_size=size, columns=asked):
            whole = pa.Table.from_arrays([pa.chunked_array([column]) for column in batch.columns], kept)
            yield whole.select(list(wanted))


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of classes from the notes that Hugging Face's data sets leave in their files."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        found = {name: feature["names"] for name, feature in features.items() if "names" in feature}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    return {
        name: names
        for name, names in found.items()
        if isinstance(names, list) and all(isinstance(each, str) for each in names)
    }
