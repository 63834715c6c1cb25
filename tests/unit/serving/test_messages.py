"""What front and model process say to each other, whole or not at all."""

import asyncio
import json
import socket
import struct
import threading

import pytest

from vitrail.serving.messages import Line, next_message, packed


def heard(*parts: bytes) -> list:
    async def read() -> list:
        reader = asyncio.StreamReader()
        for part in parts:
            reader.feed_data(part)
        reader.feed_eof()
        found = []
        while not reader.at_eof():
            found.append(await next_message(reader))
        return found

    return asyncio.run(read())


def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut() -> None:
    whole = packed({"kind": "image", "id": 1, "text": "ä\0"}, bytes(range(256))) + packed({"kind": "stop"})
    for size in (1, 7, len(whole)):
        first, second = heard(*(whole[at : at + size] for at in range(0, len(whole), size)))
        assert (first.said, first.content) == ({"kind": "image", "id": 1, "text": "ä\0"}, bytes(range(256)))
        assert (second.said, second.content) == ({"kind": "stop"}, b"")


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("!IQ", 2**31, 0), struct.pack("!IQ", 2, 2**40) + b"{}", struct.pack("!IQ", 2, 0) + b"[]",
        struct.pack("!IQ", 2, 0) + b"{}", struct.pack("!IQ", 1, 0) + b"{", struct.pack("!IQ", 12, 0) + b'{"kind":  1}',
        struct.pack("!IQ", 1, 0) + b"\xff",
    ],
)  # fmt: skip
def test_what_is_no_message_is_no_message_and_is_not_waited_for(content: bytes) -> None:
    with pytest.raises(ValueError):  # whatever it says, the process is ended
        heard(content)


def test_a_message_that_breaks_off_is_the_end() -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        heard(packed({"kind": "stop"})[:-1])


def test_several_threads_say_whole_messages_and_the_end_of_the_front_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    line = Line(theirs)
    said = [
        threading.Thread(target=lambda n=n: [line.send({"n": n, "text": "x" * 5000}, {"n": n}) for _ in range(20)])
        for n in range(4)
    ]  # fmt: skip
    for thread in said:
        thread.start()
    reading = ours.makefile("rb")
    for _ in range(80):
        pair = [json.loads(reading.read(struct.unpack("!IQ", reading.read(12))[0])) for _ in range(2)]
        assert pair[0]["n"] == pair[1]["n"] and len(pair[0]["text"]) == 5000
    for thread in said:
        thread.join()
    ours.sendall(packed({"kind": "load"}, b"abc") + b"\0\0\0")
    first = line.next_message()
    assert first is not None and (first.said, first.content) == ({"kind": "load"}, b"abc")
    reading.close()
    ours.close()
    assert line.next_message() is None
    theirs.close()
