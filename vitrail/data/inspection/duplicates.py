"""Findings about pictures that are in the data set more than once, exactly or nearly."""

from collections.abc import Iterator

from vitrail.data.inspection.findings import Finding, counted
from vitrail.data.inspection.pictures import ReadablePictures, near_pairs


def duplicate_findings(pictures: ReadablePictures) -> Iterator[Finding]:
    """Findings about files with identical content: across splits, across classes, within."""
    if len(pictures.id) > 1 and len(set(pictures.id)) == 1:
        yield Finding(
            "all-alike",
            "error",
            f"all {len(pictures.id):,} pictures are the same file",
            _lines(pictures, [list(range(len(pictures.id)))]),
            "nothing can be learned from one picture: check how the data set was put together",
        )
        return
    copies = pictures.copies()
    across_splits = [rows for rows in copies if _values(pictures.split, rows) > 1]
    across_classes = [rows for rows in copies if _values(pictures.label, rows) > 1]
    within = [rows for rows in copies if _values(pictures.split, rows) <= 1 and _values(pictures.label, rows) == 1]
    if across_splits:
        yield Finding(
            "duplicate-across-splits",
            "warning",
            f"{counted(len(across_splits), 'picture is', 'pictures are')} in more than one split: figures would be "
            "measured on images that were trained on",
            _lines(pictures, across_splits),
            "remove the copies from one of the splits",
        )
    if across_classes:
        yield Finding(
            "duplicate-across-classes",
            "warning",
            f"{counted(len(across_classes), 'picture has', 'pictures have')} two classes: the same file under "
            "different labels",
            _lines(pictures, across_classes),
            "decide which label is right and remove the other copy",
        )
    if within:
        extra = sum(len(rows) - 1 for rows in within)
        yield Finding(
            "duplicate-within",
            "warning",
            f"{counted(extra, 'superfluous copy', 'superfluous copies')} of {counted(len(within), 'picture')} "
            "within a class",
            _lines(pictures, within),
            "copies weigh more than other images; remove all but one",
        )


def near_duplicate_findings(pictures: ReadablePictures) -> Iterator[Finding]:
    """Findings about pictures that look the same in different files: across splits, across classes, within."""
    across_splits = near_pairs(pictures, lambda row: pictures.split[row])
    across_classes = near_pairs(pictures, lambda row: pictures.label[row])
    if across_splits:
        yield Finding(
            "near-duplicate-across-splits",
            "warning",
            f"{counted(len(across_splits), 'picture looks', 'pictures look')} like one in another split",
            _pair_lines(pictures, across_splits),
            "look at the pairs; where they show the same thing, move both into one split, or give them one group",
        )
    if across_classes:
        yield Finding(
            "near-duplicate-across-classes",
            "warning",
            f"{counted(len(across_classes), 'picture looks', 'pictures look')} like one of another class",
            _pair_lines(pictures, across_classes),
            "look at the pairs; one of the labels may be wrong",
        )
    clusters = [
        rows
        for rows in pictures.look_alikes()
        if _values(pictures.split, rows) <= 1 and _values(pictures.label, rows) == 1
    ]
    if clusters:
        yield Finding(
            "near-duplicate-within",
            "note",
            f"{counted(sum(map(len, clusters)), 'picture')} in {counted(len(clusters), 'cluster')} of look-alikes "
            "within a class",
            _lines(pictures, clusters, sign=" ≈ "),
            "harmless where they are different pictures; keep a cluster in one split",
        )


def _values(column: list, rows: list[int]) -> int:
    return len({column[row] for row in rows} - {None})


def _lines(pictures: ReadablePictures, groups: list[list[int]], *, sign: str = " = ") -> tuple[str, ...]:
    return tuple(sign.join(pictures.line(row) for row in rows) for rows in groups)


def _pair_lines(pictures: ReadablePictures, pairs: list[tuple[int, int]]) -> tuple[str, ...]:
    return tuple(f"{pictures.line(one)} ≈ {pictures.line(other)}" for one, other in pairs)
