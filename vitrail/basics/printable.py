"""Names that other people chose, such as those of files and classes, which terminals and spreadsheets would obey."""

import re

# C0 and C1 controls, and what turns the direction of text or hides in it: Unicode's bidirectional and invisible marks.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_KEPT = {"\n", "\t"}

_FORMULA = re.compile(r"['=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet computes instead of showing; and the apostrophe that takes that back."""


def printable(text: str, *, lines: bool = False) -> str:
    """Text for a terminal: what would move its cursor, colour it, ring or reverse its words is spelled out.

    Args:
        text: what is to be shown, names of the user's files in it.
        lines: whether line breaks and tabs are our own and stay.

    >>> printable("a\\x1b[31mb\\n")
    'a\\\\x1b[31mb\\\\n'
    """
    return _UNPRINTABLE.sub(lambda found: found[0] if lines and found[0] in _KEPT else _spelled(found[0]), text)


def encodable(text: str) -> str:
    """Text that a file in UTF-8 can hold: bytes of a file's name that are none are spelled out.

    >>> encodable("photo\\udcff.png")
    'photo\\\\xff.png'
    """
    return _SURROGATES.sub(lambda found: _spelled(found[0]), text)


def _spelled(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a file's name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def spreadsheet_cell(text: str) -> str:
    """Text for a cell of a CSV file: an apostrophe before what a spreadsheet would take for a formula.

    An apostrophe at the beginning gets another one, so that `from_spreadsheet_cell` gives every text back.

    >>> spreadsheet_cell("=1+1"), spreadsheet_cell("ants")
    ("'=1+1", 'ants')
    """
    return f"'{text}" if _FORMULA.match(text.lstrip(" ")) else text


def from_spreadsheet_cell(cell: str) -> str:
    """The text that `spreadsheet_cell` made a cell of."""
    return cell[1:] if cell.startswith("'") else cell
