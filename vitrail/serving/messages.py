"""What the front and a model process say to each other over a socket pair: JSON objects, and bytes where needed.

No pickle: a model process that was taken over by a hostile image can make its own answers wrong, but runs nothing in
the front.
"""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LENGTHS = struct.Struct("!IQ")
"""Of the JSON text and of the bytes behind it."""

MOST_TEXT_BYTES = 16 * 2**20
"""Of one message; a model of 100,000 classes says 4 MB."""


@dataclass(frozen=True, slots=True)
class Message:
    """`said` has a `kind`; see `model_process` for what there is."""

    said: dict[str, Any]
    content: bytes = b""


def packed(said: Mapping[str, Any], content: bytes = b"") -> bytes:
    """A message as it goes over the line."""
    text = json.dumps(said, ensure_ascii=True, separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(len(text), len(content)), text, content))


async def next_message(reader: asyncio.StreamReader) -> Message:
    """The next message, in the front.

    Raises:
        asyncio.IncompleteReadError: the other side is gone.
        ValueError: what it says is no message.
    """
    text_bytes, content_bytes = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
    if text_bytes > MOST_TEXT_BYTES or content_bytes > MOST_TEXT_BYTES:
        raise ValueError(f"a message of {text_bytes:,} and {content_bytes:,} bytes")
    said = json.loads(await reader.readexactly(text_bytes))
    content = await reader.readexactly(content_bytes) if content_bytes else b""
    if not isinstance(said, dict) or not isinstance(said.get("kind"), str):
        raise ValueError("a message without a kind")
    return Message(said, content)


class Line:
    """The model process's end of the line; `send` may be called by several threads at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reading = connection.makefile("rb", buffering=2**20)
        self._sending = threading.Lock()

    def send(self, *said: Mapping[str, Any]) -> None:
        """Say something, several things at once: the front is woken once.

        Raises:
            OSError: the front is gone.
        """
        whole = b"".join(map(packed, said))
        with self._sending:
            self._connection.sendall(whole)

    def next_message(self) -> Message | None:
        """The next message; None: the front is gone."""
        lengths = self._reading.read(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            return None
        text_bytes, content_bytes = _LENGTHS.unpack(lengths)
        text, content = self._reading.read(text_bytes), self._reading.read(content_bytes)
        if len(text) + len(content) < text_bytes + content_bytes:
            return None
        return Message(json.loads(text), content)
