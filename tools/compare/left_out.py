"""What is not compared, by name, and why: nothing else may differ."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class LeftOut:
    """Places that are not compared: those in files like `files` whose whole name matches `places`."""

    name: str
    files: str
    places: str
    why: str

    def covers(self, file: str, place: str) -> bool:
        """Whether this place is left out."""
        return fnmatchcase(file, self.files) and re.fullmatch(self.places, place) is not None


@dataclass(frozen=True)
class Replaced:
    """Words within any text that are not compared."""

    name: str
    pattern: str
    by: str
    why: str


SECONDS = r"seconds|estimated_seconds|step_seconds|exact_seconds|images_per_second|waiting_percent|training_seconds"
LEFT_OUT = (
    LeftOut("seconds", "*", rf"(.*\.)?({SECONDS})|timings\..*", "measured with a clock"),
    LeftOut("dates", "*", r"(.*[. ])?(at|created)", "when it was done"),
    LeftOut("versions", "*", r"(.*\.)?versions\..*", "of Vitrail and the libraries: not what was computed"),
    LeftOut("checks", "*", r"(.*\.)?check", "checksum of a line or file that holds seconds or dates"),
    LeftOut("sums", "*SHA256SUMS", ".+", "hashes of files that are compared one by one, and hold dates"),
    LeftOut("sums", "*.crc32", ".+", "sums of files that are compared one by one, and hold the place of the run"),
    LeftOut("locks", "*.lock", ".*", "empty"),
)
LEFT_OUT_OF_KILLED = (
    LeftOut("resumed", "*journal.jsonl", r"resumed.*|order", "a killed run says that it was continued"),
    LeftOut("told", "*.txt", ".*", "a continued run does not tell again what it told before it was killed"),
)
"""Not compared between a killed run and an undisturbed one."""
REPLACED = (
    Replaced("times", r"\d[\d.,]* (s|ms|min|seconds|minutes|h)\b(?! of \d)", "… s", "measured with a clock"),
    Replaced("speeds", r"\d[\d.,]* (images/s|images per second)", "… images/s", "measured with a clock"),
    Replaced("table", r'(data-label="(Images/s|Waiting for images)">)[^<]*', r"\1…", "measured with a clock"),
    Replaced("table", r"(training seconds(?::|</dt><dd>) ?)[\d.]+", r"\1…", "measured with a clock"),
    Replaced("waiting", r"[\d.]+ % of their time was spent waiting", "… of their time", "measured with a clock"),
    Replaced(
        "glass",
        r'<path class="glass-[^>]*>',
        "GLASS",
        "a pretraining's ornament is drawn from all its figures, seconds too",
    ),
    Replaced("dates", r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?([+-]\d{4})?)?", "DATE", "when it was done"),
    Replaced("place", r"/[^\s\"':,]*?/vitrail-compare-[^/\s\"']+", "HERE", "each side runs in a folder of its own"),
    Replaced("width", r"[ ─━]{2,}|\s+$", " ", "columns of a table are as wide as the times in them"),
    Replaced("disk", r"\d[\d.,]* [MGT]B are free", "… are free", "free space of the disk"),
)


FOLDER_OF_SETTINGS = re.compile(r"/[0-9a-f]{12}/")
"""A study's folder is named by a hash of its settings and data: what it holds is compared, its name is not."""


def left_out(file: str, place: str, *, killed: bool = False) -> bool:
    """Whether a place in a file is not compared."""
    return any(rule.covers(file, place) for rule in (*LEFT_OUT, *(LEFT_OUT_OF_KILLED if killed else ())))


def comparable(value: Any) -> Any:
    """A text without machine times and without the place of the run; anything else as it is."""
    text = value
    if not isinstance(text, str):
        return text
    for rule in REPLACED:
        text = re.sub(rule.pattern, rule.by, text)
    return text
