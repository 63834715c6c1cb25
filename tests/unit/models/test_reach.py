import http.server
import socket
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from vitrail.models.reach import Reach, reach_of

NAME = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Points the hub library at a port of this machine, with an empty cache and no proxy."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def at(port: int) -> None:
        template = "http://127.0.0.1:" + str(port) + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        at(closed.getsockname()[1])
    return at


class Answering(http.server.BaseHTTPRequestHandler):
    """Has every file."""

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("ETag", '"abc"')
        self.send_header("Content-Length", "1")
        self.end_headers()

    def log_message(self, *_):
        pass


class Missing(Answering):
    """Has no file."""

    def do_HEAD(self):
        self.send_error(404)


@pytest.mark.parametrize(("kind", "reach"), [
    (Answering, Reach(True, "127.0.0.1 answers")), (Missing, Reach(False, "127.0.0.1 does not answer")),
])  # fmt: skip
def test_a_hub_that_has_the_weights_is_within_reach(kind, reach, hub):
    with http.server.HTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub(server.server_address[1])
        assert reach_of(NAME) == reach
        server.shutdown()


def test_a_closed_port_is_known_at_once(hub):
    begun = time.monotonic()
    assert reach_of(NAME) == Reach(False, "127.0.0.1 does not answer")
    assert time.monotonic() - begun < 3


def test_a_host_that_takes_the_call_and_says_nothing_costs_a_few_seconds(hub, monkeypatch):
    monkeypatch.setattr("vitrail.models.reach.CONNECT_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hub(silent.getsockname()[1])
        begun = time.monotonic()
        assert reach_of(NAME) == Reach(False, "127.0.0.1 does not answer")
        assert time.monotonic() - begun < 3


def test_offline_mode_touches_no_network(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert reach_of(NAME) == Reach(False, "HF_HUB_OFFLINE is set")


@pytest.mark.parametrize("offline", [False, True])
def test_weights_in_the_local_cache_are_within_reach_without_any_network(offline, hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    folder = Path(constants.HF_HUB_CACHE) / f"models--timm--{NAME}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(REVISION)
    (folder / "snapshots" / REVISION).mkdir(parents=True)
    (folder / "snapshots" / REVISION / "model.safetensors").write_bytes(b"x")
    assert reach_of(NAME) == Reach(True, "its weights are on this machine")
