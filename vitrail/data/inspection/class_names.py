"""Findings about the names of classes: spelled in several ways, or numbers that are measurements."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator

import pyarrow as pa

from vitrail.basics.natural_order import in_natural_order
from vitrail.data.inspection.findings import Finding, counted

LONGEST_CLASS_NAME = 1000
"""Letters of the name of a class: what a package takes."""

_MOST_NUMBERED_CLASSES = 20
_FEW_IMAGES = 10
"""Many different numbers with few images each are measurements; 1,000 numbered classes have more."""


def class_name_findings(table: pa.Table) -> Iterator[Finding]:
    """Findings about the labels of an image table."""
    counts = Counter(table["label"].to_pylist())
    yield from _spelling(counts)
    yield from _measurements(counts)
    yield from _endless(counts)


def _spelling(counts: Counter[str]) -> Iterator[Finding]:
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in in_natural_order(counts):
        spellings[_plain(label)].append(label)
    several = [same for same in spellings.values() if len(same) > 1]
    # A and a, as in sets of handwriting, are as different as A and b; Cat and cat are not.
    letters = [same for same in several if len({_seen(label) for label in same if len(label) == 1}) == len(same)]
    words = [same for same in several if same not in letters]
    if words:
        lines = tuple(
            " / ".join(f"{shown} ({counts[label]:,})" for label, shown in _told_apart(same)) for same in words
        )
        yield Finding(
            "class-spelling",
            "error",
            f"{counted(len(words), 'class is', 'classes are')} spelled in several ways that {_difference(words)}: "
            f"{lines[0]}",
            lines,
            "give the class one name everywhere, or keep them apart with --set class_names=as-written",
        )
    if letters:
        lines = tuple(" / ".join(f"{label!r} ({counts[label]:,})" for label in same) for same in letters)
        yield Finding(
            "class-letters",
            "warning",
            f"{counted(len(letters), 'letter is', 'letters are')} a class in capital and one in small: {lines[0]}",
            lines,
            "they are kept apart; where they mean the same, give them one name",
        )


def _plain(label: str) -> str:
    """Without what a person hardly sees: case, spaces, forms of one letter, letters of no width."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    return " ".join("".join(each for each in folded if unicodedata.category(each) != "Cf").split())


def _seen(label: str) -> str:
    return unicodedata.normalize("NFC", "".join(each for each in label if unicodedata.category(each) != "Cf"))


def _told_apart(labels: list[str]) -> Iterator[tuple[str, str]]:
    """Each label as it can be told from the others: with the codes of its letters where they look the same."""
    seen = Counter(_seen(label) for label in labels)
    for label in labels:
        yield label, repr(label) if seen[_seen(label)] == 1 else ascii(label)


def _difference(several: list[list[str]]) -> str:
    looks_alike = any(len({_seen(label) for label in same}) < len(same) for same in several)
    if looks_alike:
        return "look the same (accents as one sign or as two, as a Mac writes them, or signs of no width)"
    return "differ by case or spaces only"


def _endless(counts: Counter[str]) -> Iterator[Finding]:
    endless = sorted(label for label in counts if len(label) > LONGEST_CLASS_NAME)
    if endless:
        yield Finding(
            "class-name-too-long",
            "error",
            f"{counted(len(endless), 'class name is', 'class names are')} longer than {LONGEST_CLASS_NAME:,} letters",
            tuple(f"{label[:80]}… ({len(label):,} letters)" for label in endless),
            "is this column the label (--columns label=…)? If it is, give the classes shorter names",
        )


def _measurements(counts: Counter[str]) -> Iterator[Finding]:
    numbers = [label for label in counts if re.fullmatch(r"\s*[-+]?\d*[.,]?\d+([eE][-+]?\d+)?\s*", label)]
    several = sum(counts.values()) / max(1, len(counts))
    if len(numbers) < len(counts) or len(counts) <= _MOST_NUMBERED_CLASSES or several >= _FEW_IMAGES:
        return
    values = sorted(float(number.replace(",", ".")) for number in numbers)
    yield Finding(
        "labels-are-measurements",
        "warning",
        f"the labels are {len(numbers):,} different numbers from {values[0]:g} to {values[-1]:g}, with "
        f"{several:.1f} images each: measurements rather than classes",
        (),
        "a classifier tells classes apart: cut the numbers into a few, e.g. in Python: "
        "table['label'] = pandas.qcut(table['label'], 3, labels=['low', 'middle', 'high']); or is another column the "
        "label? (--columns label=…)",
    )
