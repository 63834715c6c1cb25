"""Rude requests to a real server: it lives, says what is wrong by a stable code, and neighbours notice nothing."""

import base64
import json
import re
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.serving import (
    Burden,
    Neighbour,
    Reply,
    Server,
    all_from,
    at_once,
    file_of,
    reply_on,
    until_as_before,
)  # fmt: skip

JPEG = file_of(3)
LOCAL = b"Host: localhost\r\n"
FORM = "multipart/form-data; boundary=xx"


@pytest.fixture(scope="module")
def neighbour(server: Server) -> Iterator[Neighbour]:
    """Somebody who asks politely, all the time that this file's tests take."""
    for seed in range(40):
        server.predict(file_of(seed))
    server.request("POST", "/v1/predict", form([("image", file_of(7))]), Content_Type=FORM)
    before = Burden.of(server)
    with Neighbour(server) as asking:
        yield asking
    until_as_before(server, before, megabytes=40)


@pytest.fixture(autouse=True)
def _lives(server: Server, neighbour: Neighbour) -> Iterator[None]:
    yield
    assert server.process.poll() is None
    assert neighbour.wrong == []
    assert "Traceback" not in server.said()


def form(parts: list[tuple[str, bytes]], *, end: bytes = b"--xx--\r\n") -> bytes:
    return (
        b"".join(
            b'--xx\r\nContent-Disposition: form-data; name="' + name.encode() + b'"'
            + (b'; filename="a.jpg"' if name == "image" else b"") + b"\r\n\r\n" + content + b"\r\n"
            for name, content in parts
        )
        + end
    )  # fmt: skip


def as_text(**fields: object) -> bytes:
    return json.dumps(fields).encode()


IMAGE = base64.b64encode(JPEG).decode()
BODIES: dict[str, tuple[bytes, str, int, str | None]] = {
    # name: body, Content-Type, status, code
    "a picture": (JPEG, "image/jpeg", 200, None),
    "a picture of bytes": (JPEG, "application/octet-stream", 200, None),
    "a picture in JSON": (as_text(image=IMAGE, user_id="7"), "application/json", 200, None),
    "two pictures in JSON": (as_text(images=[IMAGE, IMAGE]), "application/json; charset=utf-8", 200, None),
    "a form": (form([("image", JPEG), ("user_id", b"7")]), FORM, 200, None),
    "a form of two": (form([("image", JPEG), ("image", JPEG)]), FORM, 200, None),
    "nothing": (b"", "image/jpeg", 400, "bad_request"),
    "one byte": (b"\xff", "image/jpeg", 422, "unusable_image"),
    "no type": (JPEG, "", 415, "unsupported"),
    "text": (JPEG, "text/plain", 415, "unsupported"),
    "a type that is none": (JPEG, "image", 415, "unsupported"),
    "urlencoded flood": (b"a=1&" * 400_000, "application/x-www-form-urlencoded", 415, "unsupported"),
    "larger than is taken": (b"x" * 2_000_001, "image/jpeg", 413, "too_large"),
    "JSON that is none": (b"{", "application/json", 400, "bad_request"),
    "JSON of another kind": (b"[]", "application/json", 400, "bad_request"),
    "JSON without image": (b"{}", "application/json", 400, "bad_request"),
    "JSON with NaN": (b'{"image": NaN}', "application/json", 400, "bad_request"),
    "JSON with infinity": (b'{"image": 1e999}', "application/json", 400, "bad_request"),
    "JSON with a huge number": (b'{"image": ' + b"9" * 100_000 + b"}", "application/json", 400, "bad_request"),
    "JSON in no UTF-8": (b'{"image": "\xff\xfe"}', "application/json", 400, "bad_request"),
    "JSON nested deeply": (b'{"image":' + b"[" * 15_000, "application/json", 400, "bad_request"),
    "JSON nested very deeply": (b'{"image":' + b"[" * 1_000_000, "application/json", 400, "bad_request"),
    "JSON of a million objects": (b'{"images":[' + b"{}," * 600_000, "application/json", 400, "bad_request"),
    "JSON with both": (as_text(image=IMAGE, images=[IMAGE]), "application/json", 400, "bad_request"),
    "JSON with more": (as_text(image=IMAGE, model="x"), "application/json", 400, "bad_request"),
    "JSON with too many": (as_text(images=["AA=="] * 33), "application/json", 413, "too_large"),
    "no base64": (as_text(image="äöü!"), "application/json", 400, "bad_request"),
    "base64 of rubbish": (as_text(image="AAAA"), "application/json", 422, "unusable_image"),
    "half a surrogate as user": (b'{"image": "AAAA", "user_id": "\\ud800"}', "application/json", 400, "bad_request"),
    "a number as user": (as_text(image=IMAGE, user_id=7), "application/json", 400, "bad_request"),
    "a long user": (as_text(image=IMAGE, user_id="x" * 300), "application/json", 400, "bad_request"),
    "odd attributes": (as_text(image=IMAGE, attributes={"a": "\n"}), "application/json", 400, "bad_request"),
    "many attributes": (
        as_text(image=IMAGE, attributes={str(n): "x" for n in range(9)}), "application/json", 400, "bad_request"
    ),
    "a form without boundary": (form([("image", JPEG)]), "multipart/form-data", 400, "bad_request"),
    "a form with a huge boundary": (JPEG, "multipart/form-data; boundary=" + "x" * 5000, 400, "bad_request"),
    "a form that breaks off": (form([("image", JPEG)], end=b""), FORM, 400, "bad_request"),
    "a form of nothing": (b"--xx--\r\n", FORM, 400, "bad_request"),
    "a form of rubbish": (b"\r\n" * 200_000, FORM, 400, "bad_request"),
    "a form of returns": (form([("image", b"\r" * 1_500_000)]), FORM, 422, "unusable_image"),
    "a form of nearly boundaries": (form([("image", b"\r\n--x" * 300_000)]), FORM, 422, "unusable_image"),
    "100,000 parts": (form([("a", b"")] * 20_000)[:1_900_000], FORM, 413, "too_large"),
    "33 images": (form([("image", b"x")] * 33), FORM, 413, "too_large"),
    "a huge field without a file name": (form([("user_id", b"x" * 1_500_000)]), FORM, 413, "too_large"),
    "a field of another name": (form([("image", JPEG), ("colour", b"red")]), FORM, 400, "bad_request"),
    "a part with huge headers": (b"--xx\r\nA: " + b"x" * 1_000_000, FORM, 400, "bad_request"),
    "a part with many headers": (b"--xx\r\n" + b"A: b\r\n" * 200_000, FORM, 400, "bad_request"),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_is_answered_or_refused_by_its_code(server: Server, body: tuple[bytes, str, int, str | None]) -> None:
    content, kind, status, code = body
    headers = {"Content_Type": kind} if kind else {}
    reply = server.request("POST", "/v1/predict", content, **headers)
    assert (reply.status, reply.code) == (status, code), reply.content[:500]
    tells_nothing(reply.content)


def tells_nothing(content: bytes) -> None:
    """No answer of any kind names a folder, a line of ours or where something was raised."""
    assert not re.search(rb"Traceback|File \"|\.py\b|/tmp/|/home/|/root/|site-packages", content), content[:500]


HEADERS = {
    "compressed": ("POST", "/v1/predict", {"Content_Encoding": "gzip"}, 415, "unsupported"),
    "compressed twice": ("POST", "/v1/predict", {"Content_Encoding": "deflate, gzip"}, 415, "unsupported"),
    "a range": ("GET", "/healthz", {"Range": "bytes=" + ",".join(f"{n}-" for n in range(1000))}, 200, None),
    "another address": ("POST", "/v1/predicts", {}, 404, "not_found"),
    "another method": ("GET", "/v1/predict", {}, 405, "method_not_allowed"),
    "TRACE": ("TRACE", "/v1/predict", {}, 405, "method_not_allowed"),
    "OPTIONS": ("OPTIONS", "/v1/predict", {}, 405, "method_not_allowed"),
    "HEAD": ("HEAD", "/healthz", {}, 200, None),
    "DELETE": ("DELETE", "/healthz", {}, 405, "method_not_allowed"),
    "a foreign host": ("GET", "/v1/models", {"Host": "evil.example"}, 403, "forbidden"),
    "a foreign page": ("POST", "/v1/predict", {"Origin": "https://evil.example"}, 403, "forbidden"),
    "no page at all": ("POST", "/v1/predict", {"Origin": "null"}, 403, "forbidden"),
    "a page that is no address": ("POST", "/v1/predict", {"Origin": "http://["}, 403, "forbidden"),
    "a foreign page changes routes": ("PUT", "/v1/routes", {"Origin": "https://evil.example"}, 403, "forbidden"),
    "a websocket": (
        "GET", "/healthz", {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Key": "x" * 16}, 200, None
    ),
    "an upgrade": ("GET", "/healthz", {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"}, 200, None),
    "a path upwards": ("GET", "/v1/metrics/..%2f..%2fetc%2fpasswd", {}, 404, "not_found"),
    "a path upwards in dots": ("GET", "/v1/metrics/../../etc/passwd", {}, 404, "not_found"),
    "an arm of NUL": ("GET", "/v1/metrics/%00", {}, 404, "not_found"),
    "an arm in no UTF-8": ("GET", "/v1/metrics/%ff%fe", {}, 404, "not_found"),
    "an odd model to look with": ("POST", "/v1/look?model=../../etc", {}, 404, "not_found"),
    "an odd parameter": ("POST", "/v1/predict?colour=red", {}, 400, "bad_request"),
    "an odd attribute": ("POST", "/v1/predict?attribute=red", {}, 400, "bad_request"),
    "an odd window": ("GET", "/v1/metrics/ants?window=99999h", {}, 400, "bad_request"),
    "no window": ("GET", "/v1/health?window=", {}, 400, "bad_request"),
}  # fmt: skip


@pytest.mark.parametrize("asked", HEADERS.values(), ids=HEADERS)
def test_heads_and_addresses_of_every_kind_are_answered_or_refused(server: Server, asked: tuple) -> None:
    method, path, headers, status, code = asked
    body = JPEG if method == "POST" else None
    kind = {"Content_Type": "image/jpeg"} if body else {}
    reply = server.request(method, path, body, **kind, **headers)
    assert (reply.status, reply.code) == (status, code), reply.content[:500]
    tells_nothing(reply.content)


HEAD = b"POST /v1/predict HTTP/1.1\r\n" + LOCAL + b"Content-Type: image/jpeg\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
RAW = {
    "10,000 headers": (b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"A: b\r\n" * 10_000 + b"\r\n", 431, "head_too_large"),
    "a huge header": (b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"A: " + b"b" * 2_000_000, 431, "head_too_large"),
    "a huge address": (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + LOCAL + b"\r\n", 414, "address_too_long"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00" * 100, 400, "bad_request"),
    "HTTP of the future": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    "CONNECT": (b"CONNECT evil.example:443 HTTP/1.1\r\n" + LOCAL + b"\r\n", 400, "bad_request"),
    "two lengths": (HEAD + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400, "bad_request"),
    "a length below nothing": (HEAD + b"Content-Length: -1\r\n\r\n", 400, "bad_request"),
    "a length and chunks": (
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_request"
    ),
    "chunks that are none": (CHUNKED + b"zz\r\nhello", 400, "bad_request"),
    "chunks beyond the cap": (CHUNKED + (b"80000\r\n" + b"x" * 0x80000 + b"\r\n") * 8, 413, "too_large"),
    "a length beyond the cap": (HEAD + b"Content-Length: 99999999999\r\n\r\n" + b"x" * 300_000, 413, "too_large"),
    "a length that is too long": (HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 100, 408, "slow_request"),
    "no body where nobody wants one": (
        b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"Content-Length: 9999\r\n\r\n", 200, None
    ),
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n" + LOCAL + b"\r\n", 200, None),
    "no host": (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 403, "forbidden"),
    "an address that is a URL": (b"GET http://evil.example/healthz HTTP/1.0\r\n" + LOCAL + b"\r\n", 200, None),
}  # fmt: skip


def replies_of(content: bytes) -> list[Reply]:
    """All answers that stand one behind the other."""
    found = []
    while content:
        head, _, rest = content.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        found.append(Reply(int(first.split()[1]), headers, rest[:size]))
        content = rest[size:]
    return found


@pytest.mark.parametrize("sent", RAW.values(), ids=RAW)
def test_bytes_that_are_no_request_are_refused_in_words_and_the_connection_ends(server: Server, sent: tuple) -> None:
    content, status, code = sent
    (reply,) = replies_of(server.raw(content, close_writing=False))
    assert (reply.status, reply.code) == (status, code), reply
    tells_nothing(reply.content)


def test_what_never_ends_is_ended_and_costs_nothing_meanwhile(server: Server) -> None:
    begun = time.monotonic()
    slow: dict[str, Callable[[int], bytes]] = {
        "nothing": lambda _: b"",
        "a head": lambda n: b"G" if not n else b"E",
        "headers": lambda n: b"GET / HTTP/1.1\r\n" if not n else b"A: b\r\n",
        "a body": lambda n: HEAD + b"Content-Length: 5000\r\n\r\n" if not n else b"x",
        "chunks": lambda n: CHUNKED if not n else b"1\r\nx\r\n",
        "a body that nobody reads": lambda n: (
            b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"Content-Length: 5000\r\n\r\n" if not n else b"x"
        ),
    }

    def drip(index: int) -> float:
        said = list(slow.values())[index % len(slow)]
        with socket.create_connection((server.host, server.port), timeout=0.1) as connection:
            for n in range(60):
                try:
                    connection.sendall(said(n))
                    connection.settimeout(0.1)
                    if not connection.recv(4096):
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
        return time.monotonic() - begun

    for seconds in at_once(drip, 3 * len(slow)):
        assert isinstance(seconds, float) and seconds < 8, seconds


def test_requests_in_one_breath_are_answered_in_their_order(server: Server) -> None:
    predict = HEAD + b"Content-Length: %d\r\n\r\n" % len(JPEG) + JPEG
    health = b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"\r\n"
    last = b"GET /nowhere HTTP/1.1\r\n" + LOCAL + b"Connection: close\r\n\r\n"
    replies = replies_of(server.raw((predict + health) * 5 + health * 500 + last))
    assert [reply.status for reply in replies] == [200] * 510 + [404]
    assert ["prediction" in reply.json for reply in replies[:10]] == [True, False] * 5


def test_rubbish_behind_a_request_takes_no_answer_from_it(server: Server) -> None:
    predict = HEAD + b"Content-Length: %d\r\n\r\n" % len(JPEG) + JPEG
    (reply,) = replies_of(server.raw(predict + b"\0\0\0rubbish\r\n\r\n"))
    assert reply.status == 200 and reply.json["status"] == "success"


def test_a_client_may_ask_whether_to_send_the_body_at_all(server: Server) -> None:
    def said(length: int) -> bytes:
        with socket.create_connection((server.host, server.port), timeout=5) as connection:
            connection.sendall(
                HEAD + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length
            )
            first = connection.recv(4096)
            if first.startswith(b"HTTP/1.1 100"):
                connection.sendall(JPEG)
            return first + all_from(connection)

    assert said(len(JPEG)).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    assert said(10**9).startswith(b"HTTP/1.1 413")


def test_one_connection_serves_many_requests_refused_ones_too(server: Server) -> None:
    connection = server.connection()
    for body, status in [(JPEG, 200), (b"x", 422), (b"", 400), (JPEG, 200)]:
        connection.request("POST", "/v1/predict", body, {"Content-Type": "image/jpeg"})
        assert reply_on(connection).status == status
    connection.close()


ROUTES = {
    "no JSON": b"{",
    "no routes": b"{}",
    "no arms": b'{"routes": {}}',
    "arms that are none": b'{"routes": {"arms": [1, null, "x"]}}',
    "arms of an object": b'{"routes": {"arms": {"a": 1}}}',
    "an arm without anything": b'{"routes": {"arms": [{}]}}',
    "a weight of NaN": b'{"routes": {"arms": [{"name": "a", "model": "ants", "role": "stable", "weight": NaN}]}}',
    "a weight below nothing": b'{"routes": {"arms": [{"name": "a", "model": "ants", "role": "stable", "weight": -1}]}}',
    "an odd name": b'{"routes": {"arms": [{"name": "../a", "model": "ants", "role": "stable", "weight": 1}]}}',
    "a name in half": b'{"routes": {"arms": [{"name": "\\ud800", "model": "ants", "role": "stable", "weight": 1}]}}',
    "a model that nobody knows": b'{"routes": {"arms": [{"name": "a", "model": "x", "role": "stable", "weight": 1}]}}',
    "packages that are none": b'{"routes": {"arms": []}, "packages": [1]}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("body", ROUTES.values(), ids=ROUTES)
def test_routes_that_make_no_sense_are_refused_and_change_nothing(server: Server, body: bytes) -> None:
    reply = server.request("PUT", "/v1/routes", body, Content_Type="application/json")
    assert (reply.status, reply.code) == (400, "bad_request"), reply.content
    assert server.get("/v1/routes").json["routes"]["revision"] == 1
    tells_nothing(reply.content)


def test_clients_that_hang_up_leave_nothing_behind(server: Server) -> None:
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(JPEG) + JPEG

    def hang_up(index: int) -> None:
        with socket.create_connection((server.host, server.port)) as connection:
            connection.sendall(request[: [10, len(HEAD), len(request) - 5, len(request)][index % 4]])
            if index % 2:  # a reset instead of an end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    for _ in range(5):
        assert at_once(hang_up, 40) == [None] * 40
    server.until(lambda: all(model["waiting"] == 0 for model in server.get("/v1/models").json["models"]))


def test_64_clients_at_once_are_all_answered(server: Server) -> None:
    replies = at_once(lambda index: server.predict(file_of(index), query=f"?user_id={index}"), 64)
    assert [getattr(reply, "status", reply) for reply in replies] == [200] * 64


def test_what_was_refused_is_counted_and_the_log_holds_no_line_of_a_stranger(server: Server) -> None:
    server.predict(JPEG, query="?user_id=evil%0Amodel%20ants%20answers")
    server.get("/v1/metrics/evil%0aline")
    text = server.get("/metrics").content.decode()
    refused = [line for line in text.splitlines() if line.startswith("vitrail_images_total") and "refused" in line]
    assert refused and all(float(line.split()[-1]) > 0 for line in refused)
    assert "evil" not in text and "evil" not in server.said()


def test_an_empty_line_after_an_answer_does_not_hold_a_connection_for_ever(server: Server) -> None:
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.sendall(b"\r\n")
        began = time.monotonic()
        while connection.recv(4096):
            pass
        assert time.monotonic() - began < 8, "head_seconds is 1.5 here"
