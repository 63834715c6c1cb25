"""The process that a served model lives in: it loads a package, decodes, computes, and says what happens.

It may crash, hang or run out of memory, and takes nobody with it. It is begun by the front (`begun_process`, `nursery`)
with one end of a socket pair, and ends when the front is gone. What is said on the line, one JSON object each
(`messages`):

| from the front | fields | answered by |
| --- | --- | --- |
| `load` | `gently`, and the settings of `ModelOrder` | `ready` with facts of the model, or `refused` with a reason |
| `image` | `id`, `deadline`, and the file's bytes | `answer`, `unreadable`, `failed` or `expired`, with the `id` |
| `look` | the same | `looked`, `unreadable`, `failed` or `expired` |
| `probe` | `id`, `deadline` | `answer`, `failed` or `expired`: of an image made from formulas |
| `cancel` | `id` | nothing; what was asked is answered once all the same, as `expired` if it was not begun |
| `stop` | | the end of the process, when what waits is answered |

Of its own accord it says `shift`: how the images so far compare with those that the model knows.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from vitrail.serving.messages import Line
from vitrail.serving.model_order import ModelOrder
from vitrail.serving.reasons import reason_of

if TYPE_CHECKING:
    from vitrail.serving.loaded_model import LoadedModel

NICENESS = 10
"""Of loading beside models that answer: a tenth of a processor that is busy with answers, and all of an idle one."""

_PARENT_DEATH = 1
"""`PR_SET_PDEATHSIG` of Linux."""


def main() -> None:
    """`python -m vitrail.serving.model_process NUMBER-OF-THE-SOCKET NAME`; the name is for whoever lists processes."""
    live(socket.socket(fileno=int(sys.argv[1])), sys.argv[-1])


def live(connection: socket.socket, name: str) -> None:
    """From the order to load a model to the end of this process.

    Args:
        connection: to the front.
        name: of the model, for the log.
    """
    live_with_the_front()
    line = Line(connection)
    first = line.next_message()
    if first is None or first.said["kind"] != "load":
        return
    gently = first.said["gently"]
    order = ModelOrder(**{each: value for each, value in first.said.items() if each not in ("kind", "gently")})
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="loading") as loading:
            model = loading.submit(_loaded, order, line, gently=gently).result()
        _take_part()
    except Exception as error:  # noqa: BLE001 - whatever keeps a model from being loaded is told
        sys.stderr.write(f"model {name}: {error}\n")  # whole, for the operator's log
        with contextlib.suppress(OSError):
            line.send({"kind": "refused", "reason": reason_of(error), "hint": getattr(error, "hint", None)})
        return
    with contextlib.suppress(OSError):  # the front is gone: so are we
        model.serve()


def _loaded(order: ModelOrder, line: Line, *, gently: bool) -> "LoadedModel":
    """Loaded by a thread that, if it is asked to be gentle, lets those go first who answer meanwhile."""
    if gently and sys.platform == "linux":  # where threads have a niceness each
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    return model_loader()(order, line)


def model_loader() -> "type[LoadedModel]":
    """What loads a model, and torch with it. Late: whatever keeps torch itself from being imported is told, too."""
    from vitrail.serving.loaded_model import LoadedModel

    return LoadedModel


def _take_part() -> None:
    """Threads that libraries began while the model was loaded are as nice as the one that loaded it. From now on they
    compute like others, where that is allowed; threads that begin from here on do in any case."""
    if sys.platform == "linux":
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, int(thread), 0)


def live_with_the_front() -> None:
    """Ctrl-C is the front's business; when the kernel needs memory it takes this process, never the front."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):  # not Linux: then the closed socket ends it
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # torch takes a second to tear itself down, and nobody gains by waiting for it
