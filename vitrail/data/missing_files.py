"""Why the files that a table names are not there: the cause, and what to type."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vitrail.basics.errors import InputError
from vitrail.data.readers.known import is_named_like_an_image

_LOOKED_AT = 50
"""Missing files whose cause is looked for: they nearly always share it."""

_SHOWN = 10
_LONGEST_SHOWN = 300
_IN_PYTHON = "e.g. in Python: table['path'] = "


@dataclass(frozen=True)
class Cause:
    """Why a file is not found, in words that follow "they", and what to do."""

    words: str
    hint: str


def refuse_missing_files(paths: list[str], source: str, base: str) -> None:
    """Raise where files do not exist.

    Args:
        paths: as written in the table.
        source: the table's name.
        base: the folder that relative paths begin at.

    Raises:
        InputError: lists them, with the cause that most of them share.
    """
    absent = [path for path in paths if not os.path.exists(os.path.join(base, path))]
    if not absent:
        return
    shown = "\n".join(f"  - {_short(os.path.join(base, path))}" for path in absent[:_SHOWN])
    more = f"\n  (+{len(absent) - _SHOWN} more)" if len(absent) > _SHOWN else ""
    cause = _shared_cause(absent, base)
    words = f"\nthey {cause.words}" if cause else ""
    raise InputError(
        f"{source}: {len(absent)} of {len(paths)} images do not exist:\n{shown}{more}{words}",
        hint=cause.hint
        if cause
        else "paths are relative to the table's own folder; check for a moved folder or a typing error",
    )


def _short(path: str) -> str:
    return path if len(path) <= _LONGEST_SHOWN else f"{path[:_LONGEST_SHOWN]}… ({len(path):,} characters)"


def _shared_cause(absent: list[str], base: str) -> Cause | None:
    found = [cause for path in absent[:_LOOKED_AT] if (cause := cause_of(path, base))]
    # The example in its words differs from file to file, the hint does not.
    most = Counter(cause.hint for cause in found).most_common(1)
    return next((cause for cause in found if cause.hint == most[0][0]), None) if most else None


def cause_of(path: str, base: str) -> Cause | None:
    """Why the file `path` is not found from the folder `base`; None where no cause is known."""
    return next((cause for look in _LOOKS if (cause := look(path, base))), None)


def _there(path: str, base: str) -> bool:
    return os.path.isfile(os.path.join(base, path))


def _address(path: str, base: str) -> Cause | None:
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        return None
    return Cause("are addresses, not files", "download them first, and write the paths of the files into the table")


def _too_long(path: str, base: str) -> Cause | None:
    if all(len(os.fsencode(part)) < 256 for part in path.split("/")) and len(path) < 4096:
        return None
    return Cause(
        f"have names that no disk can hold ({len(path):,} characters)", "look whether the right column is the path"
    )


def _link_to_nowhere(path: str, base: str) -> Cause | None:
    place = os.path.join(base, path)
    if not os.path.islink(place):
        return None
    return Cause(f"are links to nowhere ({os.readlink(place)})", "restore what they point to, or copy the files")


def _spaces(path: str, base: str) -> Cause | None:
    plain = path.strip().strip("\"'").strip()
    if plain == path or not _there(plain, base):
        return None
    return Cause(
        "have spaces or quotation marks around their names",
        f"""take them away, {_IN_PYTHON}table['path'].str.strip(" '\\"")""",
    )


def _backslashes(path: str, base: str) -> Cause | None:
    if "\\" not in path:
        return None
    plain = path.replace("\\", "/")
    if _there(plain, base):
        return Cause(
            "are written with backslashes, as Windows does",
            f"write /, {_IN_PYTHON}table['path'].str.replace('\\\\', '/')",
        )
    ending = _ending_that_is_there(plain, base)
    if ending is None:
        return None
    return Cause(
        f"are paths of another computer, written as Windows does; {ending} is there",
        f"cut off {plain.removesuffix(ending)} and write / for \\, {_IN_PYTHON}"
        f"table['path'].str.replace('\\\\', '/').str.removeprefix('{plain.removesuffix(ending)}')",
    )


def _extension(path: str, base: str) -> Cause | None:
    stem, written = os.path.splitext(path)
    for found in _beside(path, base):
        begin, extension = os.path.splitext(found)
        if not is_named_like_an_image(found):
            continue
        if begin == os.path.basename(path):
            return Cause(
                f"are written without the extension: {found} is there",
                f"add it, {_IN_PYTHON}table['path'] + '{extension}'",
            )
        if begin == os.path.basename(stem) and is_named_like_an_image(path):
            return Cause(
                f"have another extension: {found} is there",
                f"correct it, {_IN_PYTHON}table['path'].str.replace('{written}', '{extension}')",
            )
    return None


def _case(path: str, base: str) -> Cause | None:
    name = os.path.basename(path)
    found = next((each for each in _beside(path, base) if each.lower() == name.lower()), None)
    if found is None:
        return None
    return Cause(
        f"are written in other capitals and small letters: {found} is there",
        "write the names as the files have them; on this machine A and a are different",
    )


def _letters(path: str, base: str) -> Cause | None:
    """Names from another encoding, and accents that are one letter here and two there."""
    name = unicodedata.normalize("NFC", os.path.basename(path))
    for found in _beside(path, base):
        if unicodedata.normalize("NFC", found) == name:
            return Cause(
                f"have accents in another form: {os.path.basename(path)!a} in the table, {found!a} on disk",
                "rename the files, e.g. with convmv -f utf8 -t utf8 --nfc -r --notest FOLDER, or write the table anew",
            )
    for wrong, right in (("cp1252", "utf-8"), ("latin-1", "utf-8"), ("cp437", "utf-8"), ("utf-8", "cp1252")):
        try:
            plain = path.encode(wrong).decode(right)
        except UnicodeError:
            continue
        if plain != path and _there(plain, base):
            return Cause(
                f"were read in another encoding: {plain} is there",
                f"write the table again as UTF-8, {_IN_PYTHON}table['path'].map(lambda path: "
                f"path.encode('{wrong}').decode('{right}'))",
            )
    if "\ufffd" in path:
        return Cause("have letters that were lost when the table was written", "write the table again as UTF-8")
    return None


def _other_folder(path: str, base: str) -> Cause | None:
    if not os.path.isabs(path) and os.path.isfile(path):
        return Cause(
            f"are relative to the current folder, not to the table's ({base})",
            f"move the table here, or put the folder in front, {_IN_PYTHON}'{os.getcwd()}/' + table['path']",
        )
    ending = _ending_that_is_there(path, base)
    if ending is not None:
        front = path.removesuffix(ending)
        words = "are paths of another computer" if os.path.isabs(path) else f"begin with {front}, which is not there"
        return Cause(
            f"{words}; {ending} is there", f"cut off {front}, {_IN_PYTHON}table['path'].str.removeprefix('{front}')"
        )
    for folder in _folders_in(base):
        if _there(os.path.join(folder, path), base):
            return Cause(
                f"lie in the folder {folder}",
                f"put it in front, {_IN_PYTHON}'{folder}/' + table['path']",
            )
        stem = os.path.join(folder, path)
        named = _extension(stem, base)
        if named is not None:
            extension = os.path.splitext(next(each for each in _beside(stem, base) if _is_named(each, stem)))[1]
            return Cause(
                f"lie in the folder {folder} and have an extension",
                f"add both, {_IN_PYTHON}'{folder}/' + table['path'] + '{extension}'",
            )
    if os.path.isabs(path) and not os.path.isdir(os.path.dirname(path)):
        return Cause(
            f"are absolute paths, and there is no folder {_short(os.path.dirname(path))} on this machine",
            "write them relative to the table's own folder",
        )
    return None


def _is_named(file: str, path: str) -> bool:
    return os.path.splitext(file)[0] == os.path.basename(path) and is_named_like_an_image(file)


def _ending_that_is_there(path: str, base: str) -> str | None:
    parts = path.split("/")
    endings = ("/".join(parts[start:]) for start in range(1, len(parts)))
    return next((ending for ending in endings if ending and _there(ending, base)), None)


def _folders_in(base: str) -> Iterator[str]:
    with os.scandir(base) as entries:
        yield from sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _beside(path: str, base: str) -> list[str]:
    """Names in the folder where the file should be."""
    folder = os.path.dirname(os.path.join(base, path))
    try:
        return sorted(os.listdir(folder))
    except (OSError, ValueError):
        return []


_LOOKS: tuple[Callable[[str, str], Cause | None], ...] = (
    _address, _too_long, _link_to_nowhere, _spaces, _backslashes, _extension, _case, _letters, _other_folder,
)  # fmt: skip
