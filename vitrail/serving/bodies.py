"""What a request to predict holds: images, who asks, and attributes of the images, from any of three forms of body."""

import asyncio
import base64
import binascii
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request

from vitrail.serving.forms import form_parts
from vitrail.serving.refusals import Refusal

LONGEST_USER_ID = 256
MOST_ATTRIBUTES = 8
WORD = "[^\\x00-\\x1f\\x7f-\\xa0\\u061c\\u200b-\\u200f\\u2028-\\u202f\\u2060-\\u206f\\ufeff]{1,64}"
"""An attribute's name or value: without controls, and what turns the direction of text or hides in it."""
_WORD = re.compile(WORD)

MOST_JSON_SIGNS = 20_000
"""Commas and opening brackets of a body; base64 has none. Each may make an object that is thirty times its size."""

AT_ONCE_BYTES = 2**20
"""Larger bodies are taken apart in a thread, so that other requests are not kept waiting."""

BASE64_PIECE = 2**20
"""Decoded at once; between two pieces other threads have their turn, of which one answers everybody else."""

_RAW = ("image/", "application/dicom", "application/octet-stream")
_HINT = (
    "send the file itself with its type (curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg'), a form "
    "(curl -F image=@photo.jpg), or JSON with base64"
)


@dataclass(frozen=True)
class PredictBody:
    """What is asked for.

    Attributes:
        images: contents of files, at least one.
        user_id: who asks; None: nobody says.
        attributes: what is known of the images, e.g. `{"sex": "F"}`; figures are shown by them.
        many: whether a list was asked for, and is answered.
    """

    images: tuple[bytes, ...]
    user_id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    many: bool = False


class BodyRoom:
    """What the bodies of all requests together may take up, from their first byte until they are answered."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._taken = most_bytes, 0

    @contextlib.contextmanager
    def place(self) -> Iterator[Callable[[int], None]]:
        """Gives what is to be called with the bytes that came; in the end they are given back.

        The function raises a Refusal where there is no more room.
        """
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if mine and self._taken + size > self._most:
                raise Refusal("overloaded", "too many large requests are under way", retry_after=1)
            mine += size
            self._taken += size

        try:
            yield take
        finally:
            self._taken -= mine


async def capped_body(
    request: Request, *, most_bytes: int, seconds: float, take: Callable[[int], None] = lambda _size: None
) -> bytes:
    """A whole body, counted while it comes, whatever it says of its length.

    Args:
        take: told of all bytes that came; see `BodyRoom`.

    Raises:
        Refusal: it is larger, does not come in time, or its sender has gone.
    """
    if int(request.headers.get("content-length") or 0) > most_bytes:
        raise _too_large(most_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most_bytes:
                    raise _too_large(most_bytes)
                take(len(part))
                parts.append(part)
    except ClientDisconnect:
        raise Refusal("bad_request", "whoever asked is gone") from None
    except TimeoutError:
        raise Refusal("slow_request", f"the body did not come within {seconds:g} s") from None
    return b"".join(parts)


async def predict_body(
    content: bytes, headers: Mapping[str, str], query: Iterable[tuple[str, str]], *, most_images: int
) -> PredictBody:
    """What a body asks for.

    Args:
        content: the body.
        headers: of the request.
        query: of the address: `user_id=…`, and `attribute=NAME:VALUE`, several times.

    Raises:
        Refusal: it is none of the forms, or makes no sense.
    """
    if not content:
        raise Refusal("bad_request", "the request holds no image", hint=_HINT)
    if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise Refusal("unsupported", "compressed bodies are not taken", hint="send the file as it is")
    kind = headers.get("content-type", "")
    taken = _taken_apart(content, kind, most_images)
    body = await asyncio.to_thread(taken) if len(content) > AT_ONCE_BYTES else taken()
    return _completed(body, query)


def _taken_apart(content: bytes, content_type: str, most_images: int) -> Any:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith(_RAW):
        return lambda: PredictBody((content,))
    if kind == "application/json":
        return lambda: _of_json(content, most_images)
    if kind == "multipart/form-data":
        return lambda: _of_form(content, content_type, most_images)
    raise Refusal("unsupported", f"bodies of type {kind[:60]!r} are not taken", hint=_HINT)


def _of_json(content: bytes, most_images: int) -> PredictBody:
    if sum(content.count(sign) for sign in (b",", b"[", b"{")) > MOST_JSON_SIGNS:
        raise Refusal("bad_request", "the body is JSON of too many parts")
    try:
        told = json.loads(content.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refusal("bad_request", f"the body is no JSON: {_first_words(error)}") from None
    if not isinstance(told, dict):
        raise Refusal("bad_request", "the body is no JSON object", hint='{"image": "BASE64", "user_id": "42"}')
    unknown = sorted(set(told) - {"image", "images", "user_id", "attributes"})
    if unknown:
        raise Refusal("bad_request", f"unknown field {unknown[0][:60]!r}", hint="image, images, user_id, attributes")
    many = "images" in told
    given = told.get("images") if many else [told.get("image")]
    if ("image" in told) == many or not isinstance(given, list) or not given:
        raise Refusal("bad_request", "one of `image` (base64) and `images` (a list of them) was expected")
    if len(given) > most_images:
        raise _too_many(most_images)
    user_id = told.get("user_id")
    if user_id is not None and not isinstance(user_id, str):
        raise Refusal("bad_request", "user_id is no text")
    attributes = told.get("attributes")
    attributes = {} if attributes is None else attributes
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise Refusal("bad_request", "attributes are no object of texts", hint='"attributes": {"sex": "F"}')
    return PredictBody(tuple(_decoded(each) for each in given), user_id, attributes, many)


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise Refusal("bad_request", "an image is no text in base64")
    try:
        content = text.encode("ascii")
        if b"=" in content[:-2]:
            raise ValueError("padding before the end")
        pieces = range(0, len(content), BASE64_PIECE)
        return b"".join(base64.b64decode(content[at : at + BASE64_PIECE], validate=True) for at in pieces)
    except (binascii.Error, ValueError) as error:
        raise Refusal("bad_request", f"an image is no base64: {_first_words(error)}") from None


def _of_form(content: bytes, content_type: str, most_images: int) -> PredictBody:
    images, words = form_parts(content, content_type, most_images=most_images)
    if not images:
        raise Refusal("bad_request", "the form holds no image", hint="curl -F image=@photo.jpg")
    unknown = sorted({name for name, _ in words} - {"user_id", "attribute"})
    if unknown:
        raise Refusal("bad_request", f"unknown field {unknown[0][:60]!r}", hint="image, user_id, attribute=NAME:VALUE")
    body = _completed(PredictBody(tuple(images)), words)
    return PredictBody(body.images, body.user_id, body.attributes, many=len(images) > 1)


def _completed(body: PredictBody, words: Iterable[tuple[str, str]]) -> PredictBody:
    """With what address or form say beside the images, which goes before what the body says."""
    _check_words(body.user_id, body.attributes)
    user_id, attributes = body.user_id, dict(body.attributes)
    for name, value in words:
        if name == "user_id":
            user_id = value
        elif name == "attribute":
            key, colon, said = value.partition(":")
            if not colon:
                raise Refusal("bad_request", f"attribute {value[:60]!r} is not NAME:VALUE", hint="attribute=sex:F")
            attributes[key] = said
        else:
            raise Refusal("bad_request", f"unknown parameter {name[:60]!r}", hint="user_id, attribute")
    _check_words(user_id, attributes)
    return PredictBody(body.images, user_id or None, attributes, body.many)


def _check_words(user_id: str | None, attributes: Mapping[str, str]) -> None:
    if user_id is not None and len(user_id) > LONGEST_USER_ID:
        raise Refusal("bad_request", f"user_id has {len(user_id):,} characters, {LONGEST_USER_ID} are taken")
    if len(attributes) > MOST_ATTRIBUTES:
        raise Refusal("bad_request", f"{len(attributes)} attributes, {MOST_ATTRIBUTES} are taken")
    for word in (*attributes, *attributes.values()):
        if not _WORD.fullmatch(word) or not _is_text(word):
            raise Refusal("bad_request", "attributes and their values are 1 to 64 printable characters")
    if user_id is not None and not _is_text(user_id):
        raise Refusal("bad_request", "user_id is no valid text")


def _is_text(word: str) -> bool:
    """Whether it can be written down: JSON can escape halves of characters."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _first_words(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]


def _too_large(most_bytes: int) -> Refusal:
    return Refusal("too_large", f"the body is larger than {most_bytes:,} bytes", hint="send a smaller image")


def _too_many(most_images: int) -> Refusal:
    return Refusal("too_large", f"more than {most_images} images in one request", hint="send them in several")
