"""In a model process: a package that is loaded, and the threads that decode and compute for it."""

import contextlib
import os
import resource
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from vitrail.basics.errors import PackageError, UnreadableImageError, VitrailError
from vitrail.data.workers import usable_cores
from vitrail.models.seal import package_digest
from vitrail.prediction.predictor import Predictor, load
from vitrail.prediction.sample import sample_pixels
from vitrail.serving.admitted_images import AdmittedImages
from vitrail.serving.looked import looked_at
from vitrail.serving.messages import Line, Message
from vitrail.serving.model_batches import Decoded, ModelBatches
from vitrail.serving.model_order import ModelOrder
from vitrail.serving.open_questions import OpenQuestions
from vitrail.serving.reasons import reason_of, without_folders
from vitrail.serving.shift_watch import ShiftWatch, content_hash


class LoadedModel:
    """A model that answers what is asked on a line; `model_process` says what that is.

    Args:
        order: what to load, and how.
        line: to the front, which is told `ready` as soon as the model has answered an image.

    Raises:
        VitrailError: it cannot be loaded, or cannot answer.
    """

    def __init__(self, order: ModelOrder, line: Line) -> None:
        self._order, self._line = order, line
        if order.memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (order.memory_bytes, order.memory_bytes))
        self._predictor = _loaded(order)
        self._probe = self._sample()
        self._admitted = AdmittedImages(order.formats, max_pixels=order.max_pixels)
        self._shift = ShiftWatch(self._predictor.reference, tell=line.send)
        self._open = OpenQuestions()
        self._batches = ModelBatches(
            self._predictor.answers_of, self._open, most=order.most_images, wait=order.wait, tell=self._reply,
            after=self._shift.take,
        )  # fmt: skip
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="looking")  # a look takes seconds
        self._questions: SimpleQueue[Message | None] = SimpleQueue()
        # One computes while the others decode.
        self._workers = [
            threading.Thread(target=self._work, name="working", daemon=True) for _ in range(usable_cores() + 1)
        ]
        line.send({"kind": "ready", **self._facts()})

    def serve(self) -> None:
        """Until the front says stop, or is gone."""
        for thread in self._workers:
            thread.start()
        threading.Thread(target=self._shift.tell_for_ever, name="shift", daemon=True).start()
        while (message := self._line.next_message()) is not None and message.said["kind"] != "stop":
            self._hear(message)
        if message is None:
            return
        for _ in self._workers:
            self._questions.put(None)
        for thread in self._workers:
            thread.join()
        self._looking.shutdown(wait=True)

    def _work(self) -> None:
        """A process one of whose threads has died would seem to hang: it is better dead itself."""
        try:
            while (message := self._questions.get()) is not None:
                self._prepare(message)
                if self._questions.empty() or not self._batches.wants_more():
                    self._batches.compute()
            self._batches.compute()
        except OSError:
            os._exit(0)  # the front is gone
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os._exit(1)

    def _hear(self, message: Message) -> None:
        kind, number = message.said["kind"], message.said.get("id", 0)
        if kind == "cancel":
            self._open.cancel(number)
            return
        self._open.begin(number)
        if kind == "look":
            self._looking.submit(self._look, message)
        else:
            self._questions.put(message)

    def _reply(self, *said: dict[str, Any]) -> None:
        """To questions, to each the only one."""
        for each in said:
            self._open.end(each["id"])
        self._line.send(*said)

    def _prepare(self, message: Message) -> None:
        """Decode an image, which then waits to be computed."""
        number, deadline, began = message.said["id"], message.said["deadline"], time.monotonic()
        if message.said["kind"] == "probe":
            self._batches.add(Decoded(number, deadline, self._probe, 0.0, is_probe=True))
            return
        with self._faults_told(number):
            if self._is_late(message):
                return
            self._admitted.refuse(message.content)
            pixels = self._predictor.pixels(message.content)
            decoding = time.monotonic() - began
            self._batches.add(Decoded(number, deadline, pixels, decoding, content=content_hash(message.content)))

    def _look(self, message: Message) -> None:
        with self._faults_told(message.said["id"]):
            if self._is_late(message):
                return
            self._admitted.refuse(message.content)
            self._reply({"kind": "looked", "id": message.said["id"], **looked_at(self._predictor, message.content)})

    def _is_late(self, message: Message) -> bool:
        """Whether nobody waits for it any more; then that is told."""
        number = message.said["id"]
        if time.monotonic() <= message.said["deadline"] and not self._open.is_cancelled(number):
            return False
        self._reply({"kind": "expired", "id": number})
        return True

    @contextlib.contextmanager
    def _faults_told(self, number: int) -> Any:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a library's fault with one image, or memory: the process lives
            kind = "failed"
            if isinstance(error, VitrailError) and not isinstance(error.__cause__, MemoryError):
                kind = "unreadable" if isinstance(error, UnreadableImageError) else "unusable"
            reason = reason_of(error) if kind == "failed" else getattr(error, "message", "")
            with contextlib.suppress(OSError):  # the front is gone, which the reading thread notices
                self._reply({"kind": kind, "id": number, "reason": reason})

    def _sample(self) -> Any:
        """An image computed from formulas, answered once: a model that cannot is never called ready."""
        pixels = sample_pixels(None, self._predictor.preprocessing)[:1]
        self._predictor.answers_of(pixels)
        return pixels[0]

    def _facts(self) -> dict[str, Any]:
        predictor, choice, lacks = self._predictor, self._predictor.choice, self._predictor.why_no_reference
        shown = predictor.preprocessing
        return {
            "classes": predictor.classes,
            "version": package_digest(predictor.package.folder)[:12],
            "size": [shown.height, shown.width],
            "device": str(predictor.device),
            "runtime": choice.runtime.name if choice else predictor.asked_runtime,
            "why_runtime": choice.reason if choice else "",
            "knows_its_images": predictor.reference is not None,
            "why_no_reference": None if lacks is None else without_folders(lacks.message),
            "pid": os.getpid(),
        }


def _loaded(order: ModelOrder) -> Predictor:
    """Loaded, verified, converted and warm.

    Raises:
        PackageError: it is damaged, or another one than was asked for lies there by now.
    """
    if order.digest and (found := package_digest(Path(order.package))) != order.digest:
        raise PackageError(
            f"the package is not the one that was asked for or rolled out: its digest begins with {found[:12]}, that "
            f"one's with {order.digest[:12]}",
            hint="put the right one back, or register and roll out this one",
        )
    if order.threads:
        torch.set_num_threads(order.threads)
    return load(order.package, device=order.device, runtime=order.runtime).prepare()
