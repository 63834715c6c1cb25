"""Silence for warnings of libraries, where our own errors and findings say better what matters."""

import contextlib
import threading
import warnings
from collections.abc import Iterator


class _Silence:
    """Python has one list of warning filters for all threads. With `warnings.catch_warnings` alone, threads that leave
    in another order than they came leave a filter behind, or take one away that is still needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def begin(self, category: type[Warning], message: str, module: str) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
            warnings.filterwarnings("ignore", message=message, category=category, module=module)
            self._inside += 1

    def end(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_silence = _Silence()


@contextlib.contextmanager
def quiet(category: type[Warning] = Warning, *, message: str = "", module: str = "") -> Iterator[None]:
    """Ignore some warnings within the block, and until every other such block has ended, in whatever thread.

    Args:
        category: with all that derive from it.
        message: regular expression for the beginning of their text.
        module: regular expression for the beginning of the name of the module that warns.

    >>> with quiet(UserWarning):
    ...     warnings.warn("never seen")
    """
    _silence.begin(category, message, module)
    try:
        yield
    finally:
        _silence.end()
