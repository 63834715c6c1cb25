"""What is refused before a request is looked at, and what browsers are told."""

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from vitrail.serving.protection import Protection, is_loopback


def answered(method: str, headers: dict[str, str], *, local: bool = True) -> tuple[int, dict[str, str]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "method": method, "path": "/", "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }  # fmt: skip
    app = Protection(PlainTextResponse("yes"), local_names_only=local)
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"host": "localhost:8000"}, 200),
        ("GET", {"host": "LocalHost"}, 200),
        ("GET", {"host": "[::1]:8000"}, 200),
        ("GET", {"host": "127.0.0.1"}, 200),
        ("GET", {"host": "127.0.0.2:8000"}, 200),  # `--host 127.0.0.2` answers by its own name
        ("GET", {"host": "127.0.0.1.evil.example"}, 403),
        ("GET", {"host": "localhost.evil.example:8000"}, 403),
        ("GET", {"host": "evil.example"}, 403),
        ("GET", {}, 403),
        ("GET", {"host": ""}, 403),
        ("POST", {"host": "localhost:8000", "origin": "http://localhost:8000"}, 200),
        ("POST", {"host": "localhost:8000", "origin": "http://localhost:9000"}, 403),
        ("POST", {"host": "localhost:8000", "origin": "null"}, 403),
        ("POST", {"host": "localhost:8000", "origin": "http://[::"}, 403),
        ("POST", {"host": "localhost:8000", "origin": ""}, 403),
        ("GET", {"host": "localhost:8000", "origin": "http://evil.example"}, 200),
    ],
)
def test_only_local_names_and_own_pages_are_answered(method: str, headers: dict[str, str], status: int) -> None:
    told, answer = answered(method, headers)
    assert told == status
    assert answer["x-content-type-options"] == "nosniff" and "default-src 'none'" in answer["content-security-policy"]
    assert answer["cache-control"] == "no-store"


def test_where_a_key_is_needed_any_name_will_do_but_no_foreign_page() -> None:
    assert answered("GET", {"host": "vitrail.example"}, local=False)[0] == 200
    assert answered("POST", {"host": "vitrail.example", "origin": "https://evil.example"}, local=False)[0] == 403


def test_which_addresses_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]")))
    assert not any(
        map(is_loopback, ("0.0.0.0", "::", "192.168.0.1", "example.org", "127.example.org", "127.0.0.1.org"))
    )
