"""A real server for tests, in a process of its own, and two small packages that it serves.

    with serving({"ants": 80, "bees": 20}, packages, folder=tmp_path, model_seconds=1.0) as server:
        server.predict(jpeg)["prediction"]

A server begins in half a second: what imports torch has done so before (`tests.processes`), once for all tests. Files
that only ask share the one of the fixture
`server` (`tests/journeys/conftest.py`); those that break it begin their own.
"""

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vitrail
from tests.conftest import picture
from tests.forked_server import serve
from tests.processes import Running, running

CLASSES = ("ant", "bee", "wasp")
QUICK: dict[str, Any] = {"runtime": "torch", "device": "cpu", "threads": 1, "state": "none"}
"""Nothing is converted, and two models do not take the processor from each other."""


def small_package(
    folder: Path, model: str = "test_vit", *, reference: bool = False, raises_on_white: bool = False, seed: int = 0
) -> Path:
    """A package in 300 kB that was never trained, with three classes, seen at 48 × 48 pixels.

    Args:
        folder: must not exist yet.
        model: of timm.
        reference: whether it knows what images are like (those of `tests.conftest.picture`).
        raises_on_white: whether a white image has no finite answer (of ViTs only); all others have the same one.
        seed: of the weights; another one gives another version.
    """
    import torch

    from vitrail.data.preprocessing import Preprocessing
    from vitrail.models.catalogue import build_model
    from vitrail.models.heads import set_linear_head
    from vitrail.models.model_settings import ModelSettings
    from vitrail.models.package import PackageContents, write_package

    mean, std = (0.0, 1.0) if raises_on_white else (0.5, 0.5)
    shown = Preprocessing(height=48, width=48, crop_fraction=0.95, mean=(mean,) * 3, std=(std,) * 3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = {"image_size": 48, "pooling": "avg"} if "vit" in model else {}
        ready = build_model(ModelSettings.parse(name=model, pretrained=False, **size), num_classes=10)
        set_linear_head(ready.model, *_decided_head(ready.model))
        if raises_on_white:
            _raise_on_white(ready.model)
    contents = PackageContents(
        classes=CLASSES, preprocessing=shown, card="# Small\n", metrics={"accuracy": {"value": 0.9, "n": 100}},
        provenance={"images": "none"},
    )  # fmt: skip
    if not reference:
        write_package(folder, ready, contents=contents)
        return folder
    plain = folder.with_name(f"{folder.name}-plain")
    write_package(plain, ready, contents=contents)
    _add_reference(plain, folder)
    return folder


def _decided_head(model: Any) -> tuple[Any, Any]:
    """Weight and bias of a head that is as sure of its answers as a trained one, and gives all of them."""
    import torch

    with torch.no_grad():
        pictures = torch.rand(32, 3, 1, 1) + torch.randn(32, 3, 48, 48) / 4
        features = model.eval().forward_head(model.forward_features(pictures), pre_logits=True)
    weight = torch.randn(len(CLASSES), features.shape[1])
    weight *= 2 / (features @ weight.T).std(0)[:, None]
    return weight, -(features @ weight.T).mean(0)


def _raise_on_white(model: Any) -> None:
    """One feature is 8 where a picture is nearly white and −8 elsewhere; a logit of it overflows in the first case."""
    patches, head = model.patch_embed.proj, model.head
    patches.weight.data[0] = 1e4 / patches.weight[0].numel()
    patches.bias.data[0] = -0.98e4
    head.weight.data[0] = 0.0
    head.weight.data[0, 0] = 2.2e38 / 7.9
    head.bias.data[0] = 2.2e38


def _add_reference(plain: Path, folder: Path) -> None:
    from vitrail.models.package import read_package
    from vitrail.models.package_parts import with_part
    from vitrail.prediction.predictor import load
    from vitrail.prediction.reference_making import KnownFeatures, made_reference

    predictor = load(plain, device="cpu", runtime="torch")
    (answers,) = predictor.answers([picture(seed) for seed in range(180)], batch_size=180, workers=0)
    labels = answers.logits.argmax(1)
    known = KnownFeatures(answers.features[:120], labels[:120], answers.features[120:], labels[120:], None, "made up")
    part = made_reference(known, classes=len(CLASSES), preprocessing=predictor.preprocessing)
    with_part(read_package(plain), part, folder)


def file_of(seed: int = 0, kind: str = "JPEG", *, size: tuple[int, int] = (40, 32), **options: Any) -> bytes:
    """A small picture as the bytes of a file."""
    stream = io.BytesIO()
    picture(seed, size=size).save(stream, kind, **options)
    return stream.getvalue()


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.content)

    @property
    def code(self) -> str | None:
        """The stable code of a refusal; None: it is none, or not one of ours."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return str(self.json["error"]["code"])
        return None


class Server:
    """A server under way."""

    def __init__(self, process: Running | subprocess.Popen[bytes], printed: Path, port: int) -> None:
        self.process, self.printed, self.port = process, printed, port
        self.host, self.pid = "127.0.0.1", process.pid
        self.url = f"http://127.0.0.1:{port}"

    def request(
        self, method: str, path: str, body: bytes | None = None, *, seconds: float = 30, **headers: str
    ) -> Reply:
        """One request on a connection of its own; underscores in names of headers are hyphens."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            return reply_on(connection)

    def get(self, path: str, **headers: str) -> Reply:
        """One GET."""
        return self.request("GET", path, **headers)

    def predict(self, image: bytes, *, query: str = "", seconds: float = 30, **headers: str) -> Reply:
        """An image as the body."""
        sent = {"Content_Type": "image/jpeg", **headers}
        return self.request("POST", f"/v1/predict{query}", image, seconds=seconds, **sent)

    def put_routes(self, arms: Sequence[Mapping[str, Any]], packages: Mapping[str, Path | str] = {}) -> Reply:
        """Write the next revision of the routes; arms as JSON."""
        told = {"routes": {"arms": list(arms)}, "packages": {name: str(folder) for name, folder in packages.items()}}
        return self.request("PUT", "/v1/routes", json.dumps(told).encode(), Content_Type="application/json")

    def connection(self, *, seconds: float = 30) -> http.client.HTTPConnection:
        """One that stays open for several requests; close it."""
        return http.client.HTTPConnection(self.host, self.port, timeout=seconds)

    def raw(self, sent: bytes, *, seconds: float = 10, close_writing: bool = False) -> bytes:
        """Bytes as they are, and all that comes back until the server closes or is silent for so long."""
        with socket.create_connection((self.host, self.port), timeout=seconds) as connection:
            with contextlib.suppress(ConnectionError):  # refused before all was said
                connection.sendall(sent)
            if close_writing:
                connection.shutdown(socket.SHUT_WR)
            return all_from(connection)

    # ------------------------------------------------------------------------------------------- its processes

    @property
    def model_pids(self) -> list[int]:
        """Of its children, whatever they are called, but for the nursery."""
        return [pid for pid in children_of(self.pid) if not is_nursery(pid)]

    @property
    def nursery_pid(self) -> int:
        """Of the process that model processes are forked from."""
        (found,) = filter(is_nursery, children_of(self.pid))
        return found

    def model_pid(self, name: str) -> int:
        """Of the model of that name, as its command line says."""
        (found,) = [pid for pid in self.model_pids if _words_of(pid)[-1:] == [name]]
        return found

    def _facts(self, name: str) -> dict[str, Any]:
        models = self.get("/v1/models").json["models"]
        (found,) = [model for model in models if model["model_id"] == name]  # none yet in one that has just begun
        return dict(found)

    def state(self, name: str) -> str:
        """`loading`, `ready` or `failed`."""
        return str(self._facts(name)["state"])

    def health(self, arm: str) -> str:
        """`healthy` and so on."""
        arms = self.get("/v1/health").json["arms"]
        (found,) = [each["status"] for each in arms if each["arm"] == arm]
        return str(found)

    def memory(self) -> int:
        """Bytes of all its processes; what they share is counted once."""
        return sum(_pss(pid) for pid in (self.pid, *children_of(self.pid)))

    def handles(self) -> list[int]:
        """Open files and sockets of each of its processes, the front first."""
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in (self.pid, *children_of(self.pid))]

    def threads(self) -> list[int]:
        """Of each of its processes, the front first."""
        return [len(os.listdir(f"/proc/{pid}/task")) for pid in (self.pid, *children_of(self.pid))]

    def said(self) -> str:
        """What it has printed."""
        return self.printed.read_text()

    def until(self, what: Callable[[], Any], *, seconds: float = 30) -> Any:
        """What `what` gives, as soon as it is true; an error of it counts as false."""
        end = time.monotonic() + seconds
        while True:
            found = None
            with contextlib.suppress(OSError, http.client.HTTPException, LookupError, ValueError):
                found = what()
            if found:
                return found
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"did not come within {seconds:g} s; the server said:\n{self.said()[-4000:]}")
            time.sleep(0.02)

    def until_ready(self, *, seconds: float = 60) -> None:
        """Until every model answers."""
        states = lambda: {model["state"] for model in self.get("/v1/models").json["models"]}  # noqa: E731
        self.until(lambda: states() == {"ready"}, seconds=seconds)  # there is none yet when it has just begun

    def end(self, *, seconds: float = 20) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextlib.contextmanager
def serving(
    models: Mapping[str, float], packages: Mapping[str, Path], *, folder: Path, ready: bool = True,
    files: int | None = None, **settings: Any,
) -> Iterator[Server]:  # fmt: skip
    """A server of these models by weight, which does not outlive the block, nor do its models.

    Args:
        models: weight by name of a package.
        packages: folder by name.
        folder: for what it prints.
        ready: wait until all models answer.
        files: that the server may have open at once.
        settings: as `ServingSettings.gather` takes them; `QUICK` unless told otherwise.
    """
    printed, port = folder / f"server-{time.monotonic_ns()}.txt", _free_port()
    asked = [f"{packages[name]}={weight}" for name, weight in models.items()]
    with running(serve, asked, {**QUICK, "port": port, **settings}, files, printed=printed) as process:
        server = Server(process, printed, port)
        try:
            server.until(lambda: server.get("/healthz").status == 200)
            if ready:
                server.until_ready()
            yield server
        finally:
            _kill_all(process.pid)


@contextlib.contextmanager
def loading_server(
    package: str | Path, *, folder: Path, environment: Mapping[str, str] | None = None, **settings: Any
) -> Iterator[Server]:
    """A server in an interpreter of its own, which answers, and whose nursery imports for seconds before it forks.

    Args:
        package: or a version.
        folder: for what it prints.
        environment: beside this process's own; what an interpreter reads when it begins.
        settings: as for `serving`.
    """
    printed, port = folder / f"server-{time.monotonic_ns()}.txt", _free_port()
    told = json.dumps({**QUICK, "port": port, **settings})
    own = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **(environment or {})}
    with printed.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving", json.dumps([str(package)]), told],
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **own},
        )  # fmt: skip
    server = Server(process, printed, port)
    try:
        server.until(lambda: server.get("/healthz").status == 200)
        yield server
    finally:
        _kill_all(process.pid)
        process.wait(20)


def _kill_all(front: int) -> None:
    for pid in [front, *children_of(front)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def reply_on(connection: http.client.HTTPConnection) -> Reply:
    """What comes back on a connection."""
    response = connection.getresponse()
    content = response.read()
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, content)


def all_from(connection: socket.socket) -> bytes:
    """Everything until the other side closes, resets, or is silent for the socket's timeout."""
    parts = []
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def at_once(function: Callable[[int], Any], count: int) -> list[Any]:
    """What `function(0)` … `function(count − 1)` give, each in a thread of its own; an error is its result."""
    found: list[Any] = [None] * count

    def run(index: int) -> None:
        try:
            found[index] = function(index)
        except Exception as error:  # noqa: BLE001 - whoever asked for it judges it
            found[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


class Neighbour:
    """Asks a server for a good image's answer all the time, while others abuse it; counts what is not as it should be.

    with Neighbour(server) as neighbour: …
    """

    def __init__(self, server: Server, *, pause: float = 0.05) -> None:
        self.answered = 0
        self.wrong: list[Any] = []
        self._server, self._pause, self._ended = server, pause, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Neighbour":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        image = file_of(7)
        while not self._ended.wait(self._pause):
            try:
                reply = self._server.predict(image)
            except Exception as error:  # noqa: BLE001 - whatever it is, the neighbour has no answer
                self.wrong.append(error)
                continue
            self.answered += 1
            if reply.status != 200:
                self.wrong.append((reply.status, reply.content))


@dataclass(frozen=True)
class Burden:
    """What a server takes up."""

    memory: int
    handles: list[int]
    threads: list[int]

    @classmethod
    def of(cls, server: Server) -> "Burden":
        """Now."""
        return cls(server.memory(), server.handles(), server.threads())


def until_as_before(server: Server, before: Burden, *, megabytes: float, seconds: float = 8) -> None:
    """Handles and threads return to where they were, and memory to about there."""

    def is_as_before() -> bool:
        now = Burden.of(server)
        grown = now.memory - before.memory
        pool = (os.cpu_count() or 1) + 4  # threads of asyncio's pool and of a model's decoders come as needed, and stay
        more = [one - other for one, other in zip(now.threads, before.threads, strict=True)]
        held = all(one <= other for one, other in zip(now.handles, before.handles, strict=True))
        return held and max(more) <= pool and grown < megabytes * 2**20

    try:
        server.until(is_as_before, seconds=seconds)
    except AssertionError:
        raise AssertionError(f"before: {before}, after: {Burden.of(server)}") from None


def children_of(pid: int) -> list[int]:
    """Processes that it started and that are there still, zombies too."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return sorted(set(found))


def is_there(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_nursery(pid: int) -> bool:
    """Whether model processes are forked from it."""
    return "vitrail.serving.nursery_process" in _words_of(pid)


def _words_of(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    return []


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    vitrail.serve(json.loads(sys.argv[1]), tell=lambda text: print(text, flush=True), **json.loads(sys.argv[2]))
