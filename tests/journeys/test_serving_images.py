"""Hostile, broken and odd images, sent to a real server: refused before they cost anything, or answered as ever."""

import io
import struct
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

import vitrail
from tests.conftest import picture
from tests.serving import Burden, Neighbour, Server, at_once, file_of, until_as_before

BASE = picture(3, size=(64, 48))


@pytest.fixture(scope="module")
def neighbour(server: Server) -> Iterator[Neighbour]:
    """Somebody who asks politely, all the time that this file's tests take."""
    at_once(lambda seed: [server.predict(file_of(seed)) for _ in range(10)], 4)
    server.predict(saved("PNG", size=(1999, 1999)))
    before = Burden.of(server)
    with Neighbour(server) as asking:
        yield asking
    until_as_before(server, before, megabytes=120)  # as much as two decoders may keep


@pytest.fixture(autouse=True)
def _lives(server: Server, neighbour: Neighbour) -> Iterator[None]:
    pids = server.model_pids
    yield
    assert neighbour.wrong == []
    assert server.model_pids == pids, "a model process died of an image"


def saved(kind: str, *, mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    """A picture in that format and mode."""
    stream = io.BytesIO()
    BASE.resize(size).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, *, chunks: bytes = b"", rows: bytes = b"", bits: int = 8, colour: int = 0) -> bytes:
    """A PNG that says what it likes."""
    head = chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunks + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + name + content + struct.pack("!I", zlib.crc32(name + content))


def animated_gif(frames: int) -> bytes:
    head = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    frame = b"\x21\xf9\x04\x00\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
    return head + frame * frames + b"\x3b"


def tiff(pages: int, *, width: int = 4, height: int = 4) -> bytes:
    """So many pages that all show the same sixteen grey pixels."""
    parts = [b"II*\0" + struct.pack("<I", 24) + bytes(range(0, 160, 10))]
    place = 24
    for page in range(pages):
        size = 2 + 8 * 12 + 4
        following = place + size if page + 1 < pages else 0
        entries = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height), (279, 16)]
        parts.append(
            struct.pack("<H", 8) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
            + struct.pack("<I", following)
        )  # fmt: skip
        place += size
    return b"".join(parts)


def deep_grey() -> bytes:
    stream = io.BytesIO()
    Image.fromarray((np.arange(64 * 48, dtype=np.uint16) * 21).reshape(48, 64)).save(stream, "PNG")
    return stream.getvalue()


def with_palette_and_transparency() -> bytes:
    stream = io.BytesIO()
    image = BASE.quantize(16)
    image.save(stream, "PNG", transparency=3)
    return stream.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved("JPEG", exif=exif)


def with_a_second_picture() -> bytes:
    stream = io.BytesIO()
    BASE.save(stream, "MPO", save_all=True, append_images=[BASE])
    return stream.getvalue()


ANSWERED: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved("JPEG"),
    "PNG": lambda: saved("PNG"),
    "WebP": lambda: saved("WEBP"),
    "TIFF": lambda: saved("TIFF"),
    "BMP": lambda: saved("BMP"),
    "GIF": lambda: saved("GIF", mode="P"),
    "a telephone's JPEG of two": with_a_second_picture,
    "16 bits": deep_grey,
    "CMYK": lambda: saved("JPEG", mode="CMYK"),
    "grey with transparency": lambda: saved("PNG", mode="LA"),
    "colour with transparency": lambda: saved("PNG", mode="RGBA"),
    "a palette with transparency": with_palette_and_transparency,
    "1 bit": lambda: saved("PNG", mode="1"),
    "all black": lambda: file_of_array(np.zeros((48, 64, 3), np.uint8)),
    "all white": lambda: file_of_array(np.full((48, 64, 3), 255, np.uint8)),
    "one pixel": lambda: saved("PNG", size=(1, 1)),
    "a line": lambda: saved("PNG", size=(100_000, 1)),
    "a pole": lambda: saved("PNG", size=(1, 100_000)),
    "a GIF of 10,000 frames": lambda: animated_gif(10_000),
    "a TIFF of 10,000 pages": lambda: tiff(10_000),
    "an animated PNG": lambda: saved("PNG", save_all=True, append_images=[BASE.rotate(9)] * 20),
    "an animated WebP": lambda: saved("WEBP", save_all=True, append_images=[BASE.rotate(9)] * 20),
    "a picture and a page behind it": lambda: saved("JPEG") + b"<html><script>alert(1)</script>" + b"PK\3\4" * 1000,
    **{f"turned {number}": (lambda number=number: turned(number)) for number in range(1, 9)},
}  # fmt: skip


def file_of_array(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def predictors(small_packages: dict) -> dict:
    """The same packages, loaded here."""
    return {name: vitrail.load(folder, device="cpu", runtime="torch") for name, folder in small_packages.items()}


@pytest.mark.parametrize("content", ANSWERED.values(), ids=ANSWERED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_picture_has_the_same_answer_as_without_a_server(server: Server, predictors: dict, content: Callable) -> None:
    sent = content()
    reply = server.predict(sent, Content_Type="application/octet-stream")
    assert reply.status == 200, reply.content
    (expected,) = predictors[reply.json["model_id"]].predict([sent], workers=0)
    assert reply.json["prediction"] == expected.label
    assert reply.json["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)


REFUSED: dict[str, Callable[[], bytes]] = {
    "no byte of an image": lambda: b"\0",
    "zeros": lambda: bytes(100_000),
    "half a JPEG": lambda: saved("JPEG", size=(640, 480))[:3000],
    "half a PNG": lambda: saved("PNG", size=(640, 480))[:3000],
    "half a WebP": lambda: saved("WEBP", size=(640, 480))[:1000],
    "half a TIFF": lambda: saved("TIFF")[:3000],
    "a JPEG's first bytes": lambda: b"\xff\xd8\xff\xe0",
    "60,000 × 60,000 by its header": lambda: png(60_000, 60_000),
    "4 billion × 4 billion by its header": lambda: png(2**31 - 1, 2**31 - 1),
    "no pixels": lambda: png(0, 0),
    "20,000 × 20,000 in 50 kB": lambda: png(20_000, 20_000, rows=bytes(20_000 * 2501), bits=1),
    "a large GIF by its header": lambda: animated_gif(1).replace(b"\1\0\1\0", b"\xff\xff\xff\xff", 1),
    "a large TIFF by its header": lambda: tiff(1, width=100_000, height=100_000),
    "a large WebP by its header": lambda: b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + bytes(10),
    "text that unpacks to 64 MB": lambda: png(
        4, 4, chunks=chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**26), 9)), rows=bytes(20)
    ),
    "a profile that unpacks to 64 MB": lambda: png(
        4, 4, chunks=chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**26), 9)), rows=bytes(20)
    ),
    "EPS": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "PDF": lambda: b"%PDF-1.7\n" + bytes(1000),
    "FITS": lambda: b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800),
    "ICO": lambda: saved("ICO"),
    "JPEG 2000": lambda: saved("JPEG2000"),
    "AVIF": lambda: saved("AVIF"),
    "TGA": lambda: saved("TGA"),
    "PPM": lambda: saved("PPM"),
    "PCX": lambda: saved("PCX"),
    "PSD": lambda: b"8BPS\0\1" + bytes(6) + struct.pack("!HIIHH", 3, 4, 4, 8, 3) + bytes(100),
    "HEIC": lambda: b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(100),
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "XML with entities": lambda: b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "a program": lambda: b"\x7fELF" + bytes(1000),
    "a ZIP": lambda: b"PK\3\4" + bytes(1000),
    "a path": lambda: b"/etc/passwd",
}  # fmt: skip


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_what_cannot_or_must_not_be_decoded_is_refused_at_once(server: Server, content: Callable[[], bytes]) -> None:
    sent = content()
    began = time.monotonic()
    reply = server.predict(sent, Content_Type="image/jpeg")  # whatever it says of itself
    assert time.monotonic() - began < 1.0
    assert (reply.status, reply.code) == (422, "unusable_image"), reply.content
    assert b"/tmp" not in reply.content and b"root:" not in reply.content and b"passwd" not in reply.content


def test_whoever_sends_another_format_or_size_is_told_which_are_taken(server: Server) -> None:
    assert server.predict(saved("PCX")).json["error"]["message"] == (
        "image: its format is PCX, taken are JPEG, PNG, WEBP, TIFF, BMP, GIF, DICOM"
    )
    for side in (2001, 60_000):
        assert server.predict(png(side, side)).json["error"]["message"] == (
            f"image: is too large: {side} × {side} pixels, the limit is 4,000,000 in all"
        )


def test_where_a_model_looks_is_refused_and_bounded_alike(server: Server) -> None:
    sent = {"Content_Type": "image/jpeg"}
    assert server.request("POST", "/v1/look?model=ants", png(60_000, 60_000), **sent).code == "unusable_image"
    assert server.request("POST", "/v1/look?model=ants", b"x", **sent).code == "unusable_image"
    for model, key in (("ants", "attention"), ("bees", "no_map")):
        reply = server.request("POST", f"/v1/look?model={model}", saved("JPEG"), **sent)
        assert reply.status == 200 and key in reply.json, reply.content[:300]


def test_bad_images_among_good_ones_take_no_answer_from_them(server: Server) -> None:
    import base64
    import json

    images = [file_of(1), b"x", png(60_000, 60_000), file_of(2), saved("ICO")]
    body = json.dumps({"images": [base64.b64encode(image).decode() for image in images]}).encode()
    reply = server.request("POST", "/v1/predict", body, Content_Type="application/json")
    codes = [result.get("error", {}).get("code") for result in reply.json["results"]]
    assert (reply.status, codes) == (200, [None, "unusable_image", "unusable_image", None, "unusable_image"])
