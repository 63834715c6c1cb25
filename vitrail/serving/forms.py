"""Bodies of forms (multipart), taken apart with a bound on everything that a stranger can make many of."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from vitrail.serving.refusals import Refusal

MOST_WORDS = 32
"""Parts that are no files."""

LONGEST_WORDS = 4096
"""Bytes of such a part."""

LONGEST_HEADERS = 4096
"""Bytes of a part's headers."""


def form_parts(content: bytes, content_type: str, *, most_images: int) -> tuple[list[bytes], list[tuple[str, str]]]:
    """The files of a form, and its other fields as names and values.

    Raises:
        Refusal: it is no such form, or holds more than is taken.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refusal("bad_request", "the form names no boundary", hint="curl -F image=@photo.jpg")
    form = _Form(most_images)
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        parser.write(content)
        parser.finalize()
    except FormParserError as error:
        raise Refusal("bad_request", f"the form cannot be read: {str(error)[:100]}") from None
    if not form.ended:
        raise Refusal("bad_request", "the form is cut off")
    return form.images, form.words


@dataclass
class _Form:
    most_images: int
    images: list[bytes] = field(default_factory=list)
    words: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    _headers: dict[str, str] = field(default_factory=dict)
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _data: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> dict[str, object]:
        """For the parser."""
        return {
            "on_part_begin": self._begin, "on_header_field": self._header_name, "on_header_value": self._header_value,
            "on_header_end": self._header_end, "on_part_data": self._more, "on_part_end": self._part_end,
            "on_end": self._end,
        }  # fmt: skip

    def _begin(self) -> None:
        self._headers = {}
        self._data = bytearray()
        if len(self.images) + len(self.words) >= self.most_images + MOST_WORDS:
            raise Refusal("too_large", "the form has too many parts")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._refuse_long_headers()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._refuse_long_headers()

    def _refuse_long_headers(self) -> None:
        if len(self._name) + len(self._value) > LONGEST_HEADERS or len(self._headers) > 16:
            raise Refusal("too_large", "a part of the form has headers that are too long")

    def _header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._name, self._value = bytearray(), bytearray()

    def _more(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def _part_end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options or name in ("image", "images"):
            if len(self.images) >= self.most_images:
                raise Refusal("too_large", f"more than {self.most_images} images in one request")
            self.images.append(bytes(self._data))
            return
        if len(self.words) >= MOST_WORDS or len(self._data) > LONGEST_WORDS:
            raise Refusal("too_large", "the form has too many fields, or one that is too long")
        self.words.append((name, self._data.decode("utf-8", "replace")))

    def _end(self) -> None:
        self.ended = True
