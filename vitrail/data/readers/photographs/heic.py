"""HEIC, the format of telephones: read where the extra `heic` is installed, and called by its name where it is not."""

HEIC_EXTENSIONS = frozenset({".heic", ".heif", ".hif"})
"""Extensions that are taken for images, whether they can be decoded here or not: they are never passed over."""

_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_GENERAL = {b"mif1", b"msf1"}


def is_heic(content: bytes) -> bool:
    """Whether a file that begins like this is HEIC; AVIF, which is built alike, is not."""
    if content[4:8] != b"ftyp":
        return False
    size = min(int.from_bytes(content[:4], "big"), len(content), 256)
    compatible = {content[start : start + 4] for start in range(16, size, 4)}
    return content[8:12] in _BRANDS or (content[8:12] in _GENERAL and bool(compatible & _BRANDS))


def heic_enabled() -> bool:
    """Teach Pillow in this process to read HEIC; whether that was possible."""
    try:
        import pi_heif  # an extra
    except ImportError:
        return False
    pi_heif.register_heif_opener()
    return True
