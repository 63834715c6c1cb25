"""What a file is that is no image, told from its beginning."""

from PIL import Image

from vitrail.data.readers.photographs.tiff_kinds import tiff_kind

_OTHER_KINDS = (
    (b"<!doctype html", "text (a web page)"), (b"<html", "text (a web page)"), (b"<?xml", "text (XML)"),
    (b"<svg", "text (an SVG drawing)"), (b"version https://git-lfs", "text (a pointer of Git LFS: run git lfs pull)"),
    (b"%pdf", "a PDF"), (b"pk\3\4", "a ZIP archive"), (b"\x1f\x8b", "a gzip archive"), (b"rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"), (b"\x7felf", "a program"), (b"sqlite format 3", "a database"),
    (b"\x93numpy", "an array of NumPy"),
)  # fmt: skip


def instead_of_an_image(content: bytes) -> tuple[str, str]:
    """What bytes are that no decoder takes, in words, and what to do about it; what stands in them is never told."""
    start, tiff = content[:24], tiff_kind(content)
    if tiff and tiff.is_whole:
        return (f"is a TIFF of a kind that is not read: {tiff.words}", "convert it to PNG or to plain TIFF")
    known = next(iter(formats_that_begin_like(content)), None)
    if known:
        return (f"is truncated or broken: begins like {known}, then breaks off", "fetch the file again")
    # What stands in it is never shown: a table may name any file of this machine, also a secret one.
    kind = next((kind for begin, kind in _OTHER_KINDS if content.lstrip()[: len(begin)].lower() == begin), None)
    if kind:
        return (f"is not an image but {kind}", "fetch the file again, or remove it")
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in start):
        return ("is not an image but text", "fetch the file again")
    return ("is not an image, and of no kind that is known here", "remove it, or convert it to PNG")


def formats_that_begin_like(content: bytes) -> list[str]:
    """Pillow's formats of which a file is one by its first bytes."""
    # Padded, because some formats' own tests need more bytes than a file cut short may have.
    prefix = content[:16].ljust(16, b"\0")
    return [kind for kind, (_, accept) in Image.OPEN.items() if accept and accept(prefix) is True]
