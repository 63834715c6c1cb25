"""What stands in a table's cells, as a person sees it: names are text exactly as written, and only an empty cell is
missing."""

import datetime
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vitrail.basics.errors import InputError
from vitrail.data.written_names import writable_name

# Ages and doses are compared as numbers; 007, 1e5, inf and nan are names, and so is what no float holds exactly.
_PLAIN_NUMBER = r"^-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$"
_EXTENSION_ERRORS = (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError)


def texts_of(column: pa.ChunkedArray, name: str, source: str) -> pa.ChunkedArray:
    """A column as text, exactly as written, spaces included; null where a cell is empty or holds spaces alone.

    Args:
        column: of any type that holds one value per row.
        name: the column's, for errors.
        source: the table's name, for errors.

    Raises:
        InputError: cells hold lists or bytes, are not UTF-8, or hold NUL characters.
    """
    column = _plain(column)
    try:
        texts = _texts(column)
    except (pa.ArrowException, UnicodeError) as error:
        raise InputError(
            f"{source}: column {name!r} holds {column.type}, not one text or number in a row",
            hint="a row is one image with one label: give this column one plain value per row",
        ) from error
    empty = pc.equal(pc.utf8_trim_whitespace(texts), "")
    texts = pc.if_else(pc.fill_null(empty, True), pa.scalar(None, pa.string()), texts)
    broken = pc.fill_null(pc.match_substring(texts, "\0"), False)
    if pc.any(broken).as_py():
        raise InputError(
            f"{source}: column {name!r} holds NUL characters in row {pc.index(broken, True).as_py() + 1}",
            hint="the file is damaged, or in another encoding: write it again as UTF-8",
        )
    return texts


def attribute_of(column: pa.ChunkedArray, *, written: bool) -> pa.ChunkedArray | None:
    """A column that nobody of us owns: numbers, truth values and dates stay what they are, all else is text.

    Args:
        column: of any type.
        written: whether all its cells were text in a file. Such a column is of numbers where every filled cell is
            written plainly as one, no two texts are the same number, and nothing else is in it.

    Returns:
        None for what is no single value: lists, structures, bytes.
    """
    column = _plain(column)
    if _is_text(column.type) or pa.types.is_null(column.type):
        texts = texts_of(column, "", "") if _is_valid(column) else None
        return _numbers(texts) if written and texts is not None else texts
    typed = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_temporal)
    return column if any(is_kind(column.type) for is_kind in typed) else None


def distinct_names(names: Iterable[Any]) -> list[str]:
    """Column names of which no two are equal: without spaces around them, the second `x` as `x (2)`, one without a
    name as `column 3`."""
    taken: Counter[str] = Counter()
    found: dict[str, None] = {}
    for number, name in enumerate(names, start=1):
        plain = str(name).strip().removeprefix("\ufeff") or f"column {number}"
        taken[plain] += 1
        different = plain if plain not in found else f"{plain} ({taken[plain]})"
        while different in found:
            taken[plain] += 1
            different = f"{plain} ({taken[plain]})"
        found[different] = None
    return list(found)


def table_of_pandas(frame: Any) -> pa.Table:
    """A pandas frame as a table; columns of mixed values, or of objects, are text as `str` gives it."""
    columns = [frame.iloc[:, position] for position in range(frame.shape[1])]
    return pa.Table.from_arrays([_of_series(column) for column in columns], [str(name) for name in frame.columns])


def _of_series(series: Any) -> pa.ChunkedArray:
    kinds = {type(value) for value in series[series.notna()]} if series.dtype == object else set()
    if len(kinds) <= 1:
        try:
            made = pa.array(series, from_pandas=True)
            return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])
        except _EXTENSION_ERRORS:
            pass
    missing = series.isna().tolist()
    texts = [None if empty else writable_name(str(value)) for value, empty in zip(series, missing, strict=True)]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without what only says how values are kept: extensions, dictionaries, runs."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type))
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    return column


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_valid(column: pa.ChunkedArray) -> bool:
    try:
        return not pc.any(pc.fill_null(pc.match_substring(_texts(column), "\0"), False)).as_py()
    except (pa.ArrowException, UnicodeError):
        return False


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if _is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        # Files of other programs hold texts that are not UTF-8; only this cast looks.
        return column.cast(pa.large_binary()).cast(pa.large_string()).cast(pa.string())
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        # float32 0.1 is 0.1 to whoever wrote it, not 0.10000000149011612.
        values = [None if value is None else value for chunk in column.chunks for value in _floats(chunk)]
        return pa.chunked_array([pa.array(values, pa.string())])
    if pa.types.is_temporal(kind) or pa.types.is_boolean(kind):
        return pa.chunked_array([pa.array([_shown(value) for value in _values(column)], pa.string())])
    raise pa.ArrowInvalid(f"{kind} is no single value")


def _floats(chunk: pa.Array) -> list[str | None]:
    numbers = chunk.to_numpy(zero_copy_only=False)
    return [None if value != value else str(value) for value in numbers]


def _values(column: pa.ChunkedArray) -> list:
    try:
        return column.to_pylist()
    except ValueError:  # nanoseconds are no datetime of Python
        return column.cast(pa.string()).to_pylist()


def _shown(value: Any) -> str | None:
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return str(value.date())
    return None if value is None else str(value)


def _numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    filled = texts.drop_null()
    if not len(filled) or not pc.all(pc.match_substring_regex(filled, _PLAIN_NUMBER)).as_py():
        return texts
    whole = not pc.any(pc.match_substring(filled, ".")).as_py()
    numbers = texts.cast(pa.int64() if whole else pa.float64())
    return numbers if pc.count_distinct(numbers).as_py() == pc.count_distinct(texts).as_py() else texts
