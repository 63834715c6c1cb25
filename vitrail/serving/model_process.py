"""The process that a served model lives in: it loads a package, decodes, computes, and says what happens.

It may crash, hang or run out of memory, and takes nobody with it. It is started by the front (`served_model`) with one
end of a socket pair, and ends when the front is gone. What is said on the line, one JSON object each (`messages`):

| from the front | fields | answered by |
| --- | --- | --- |
| `load` | the settings of `ModelOrder` | `ready` with facts of the model, or `refused` with a reason |
| `image` | `id`, `deadline`, and the file's bytes | `answer`, `unreadable`, `failed` or `expired`, with the `id` |
| `look` | the same | `looked`, `unreadable` or `failed` |
| `probe` | `id`, `deadline` | `answer` or `failed`: of an image made from formulas |
| `cancel` | `id` | nothing |
| `stop` | | the end of the process, when what waits is answered |

Of its own accord it says `shift`: how the images so far compare with those that the model knows.
"""

import contextlib
import ctypes
import io
import os
import resource
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitrail.basics.errors import UnreadableImageError, VitrailError
from vitrail.serving.messages import Line, Message
from vitrail.serving.model_batches import Decoded, ModelBatches, reason_of
from vitrail.serving.model_order import ModelOrder

if TYPE_CHECKING:
    from vitrail.prediction.predictor import Predictor

_PARENT_DEATH = 1
"""`PR_SET_PDEATHSIG` of Linux."""


def main() -> None:
    """`python -m vitrail.serving.model_process NUMBER-OF-THE-SOCKET NAME`; the name is for whoever lists processes."""
    _live_with_the_front()
    line = Line(socket.socket(fileno=int(sys.argv[1])))
    first = line.next_message()
    if first is None or first.said["kind"] != "load":
        return
    order = ModelOrder(**{name: value for name, value in first.said.items() if name != "kind"})
    try:
        model = _Model(order, line)
    except Exception as error:  # noqa: BLE001 - whatever keeps a model from being loaded is told
        with contextlib.suppress(OSError):
            line.send({"kind": "refused", "reason": reason_of(error), "hint": getattr(error, "hint", None)})
        return
    with contextlib.suppress(OSError):  # the front is gone: so are we
        model.serve()


def _live_with_the_front() -> None:
    """Ctrl-C is the front's business; when the kernel needs memory it takes this process, never the front."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):  # not Linux: then the closed socket ends it
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")


class _Model:
    """A loaded model that answers the line."""

    def __init__(self, order: ModelOrder, line: Line) -> None:
        self._order, self._line = order, line
        if order.memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (order.memory_bytes, order.memory_bytes))
        self._predictor = _loaded(order)
        self._probe = self._sample()
        from vitrail.serving.shift_watch import ShiftWatch  # NumPy and the model's own rooms, here only

        self._shift = ShiftWatch(self._predictor.reference, tell=line.send)
        self._batches = ModelBatches(
            self._predictor.answers_of, most=order.most_images, wait=order.wait, tell=line.send, after=self._shift.take
        )
        self._looking = threading.Lock()
        threads = max(1, os.cpu_count() or 1)
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="decoding")
        line.send({"kind": "ready", **self._facts()})

    def serve(self) -> None:
        """Until the front says stop, or is gone."""
        computing = threading.Thread(target=self._batches.run, name="computing", daemon=True)
        computing.start()
        while (message := self._line.next_message()) is not None and message.said["kind"] != "stop":
            self._hear(message)
        self._decoders.shutdown(wait=True)
        self._batches.end()
        if message is not None:
            computing.join()

    def _hear(self, message: Message) -> None:
        kind = message.said["kind"]
        if kind == "image":
            self._decoders.submit(self._decode, message)
        elif kind == "cancel":
            self._batches.cancel(message.said["id"])
        elif kind == "probe":
            self._batches.add(Decoded(message.said["id"], message.said["deadline"], self._probe, 0.0))
        elif kind == "look":
            self._decoders.submit(self._look, message)

    def _decode(self, message: Message) -> None:
        number, deadline, began = message.said["id"], message.said["deadline"], time.monotonic()
        if began > deadline:
            self._line.send({"kind": "expired", "id": number})
            return
        with self._faults_told(number):
            pixels = self._pixels(message.content)
            self._batches.add(Decoded(number, deadline, pixels, time.monotonic() - began))

    def _look(self, message: Message) -> None:
        from vitrail.serving.looked import looked_at

        with self._faults_told(message.said["id"]), self._looking:
            self._pixels(message.content)  # refuses what may not be decoded
            self._line.send({"kind": "looked", "id": message.said["id"], **looked_at(self._predictor, message.content)})

    @contextlib.contextmanager
    def _faults_told(self, number: int) -> Any:
        try:
            yield
        except UnreadableImageError as error:
            self._line.send({"kind": "unreadable", "id": number, "reason": error.message})
        except VitrailError as error:
            self._line.send({"kind": "unusable", "id": number, "reason": error.message})
        except Exception as error:  # noqa: BLE001 - a library's fault with one image, or memory: the process lives
            self._line.send({"kind": "failed", "id": number, "reason": reason_of(error)})

    def _pixels(self, content: bytes) -> Any:
        """What the model sees of a file, refused by its header before a pixel is decoded."""
        from vitrail.data.opened_pictures import header_of

        header = header_of(io.BytesIO(content), name="image")
        pixels = header.width * header.height
        if pixels > self._order.max_pixels:
            raise UnreadableImageError(
                f"image: {header.width:,} × {header.height:,} pixels, at most {self._order.max_pixels:,} are taken"
            )
        if self._order.formats and header.format.upper() not in self._order.formats:
            allowed = ", ".join(self._order.formats)
            raise UnreadableImageError(f"image: its format is {header.format or 'unknown'}, taken are {allowed}")
        return self._predictor.pixels(content)

    def _sample(self) -> Any:
        """An image computed from formulas, answered once: a model that cannot is never called ready."""
        from vitrail.prediction.sample import sample_pixels

        pixels = sample_pixels(None, self._predictor.preprocessing)[:1]
        self._predictor.answers_of(pixels)
        return pixels[0]

    def _facts(self) -> dict[str, Any]:
        from vitrail.models.seal import package_digest

        predictor, choice = self._predictor, self._predictor.choice
        shown = predictor.preprocessing
        return {
            "classes": predictor.classes,
            "version": package_digest(predictor.package.folder)[:12],
            "size": [shown.height, shown.width],
            "device": str(predictor.device),
            "runtime": choice.runtime.name if choice else predictor.asked_runtime,
            "why_runtime": choice.reason if choice else "",
            "knows_its_images": predictor.reference is not None,
            "why_no_reference": None if predictor.why_no_reference is None else predictor.why_no_reference.message,
            "pid": os.getpid(),
        }


def _loaded(order: ModelOrder) -> "Predictor":
    """Loaded, verified, converted and warm."""
    import torch

    from vitrail.prediction.predictor import load

    if order.threads:
        torch.set_num_threads(order.threads)
    return load(order.package, device=order.device, runtime=order.runtime).prepare()


if __name__ == "__main__":
    main()
    os._exit(0)  # torch takes a second to tear itself down, and nobody gains by waiting for it
