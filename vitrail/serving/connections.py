"""Connections of strangers: a head that never ends, is huge or comes a byte a minute ends its connection, and no more."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""For the first byte, and from there for the request line and all headers."""

LARGEST_HEAD = 64 * 1024
MOST_HEADERS = 100
LONGEST_ADDRESS = 8 * 1024
_INVALID, _LONG_ADDRESS, _LARGE_HEAD = b"400 Bad Request", b"414 URI Too Long", b"431 Request Header Fields Too Large"


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which bounds neither the size of a head nor the time it takes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._status = _INVALID
        self._head_bytes = 0
        self._guard: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A stranger is there, and has ten seconds to say what he wants."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """He is gone."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes, of however many requests."""
        if self._guard is not None:
            if self._head_bytes > LARGEST_HEAD:
                self._status = _LARGE_HEAD
                self.send_400_response("")
                return
            self._head_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._guard is None:  # a further one of the same connection
            self._await_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        super().on_url(url)
        if len(self.url) > LONGEST_ADDRESS:
            self._status = _LONG_ADDRESS
            raise ValueError("the address is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS:
            self._status = _LARGE_HEAD
            raise ValueError("too many headers")

    def on_headers_complete(self) -> None:
        """The head is whole; for the body there are other limits."""
        self._end_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Called for what is no HTTP, and for what a callback above has refused."""
        self._end_head()
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + self._status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def _await_head(self) -> None:
        self._end_head()
        self._head_bytes = 0
        self._guard = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _end_head(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None

    def _give_up(self) -> None:
        self._guard = None
        if not self.transport.is_closing():
            self.transport.close()
