"""Pillow without its warnings: what matters about a file is said by our own errors and findings."""

import threading
import warnings


class _QuietPillow:
    """Silences Pillow's warnings while any thread is inside.

    `warnings.catch_warnings` alone is not enough: two threads that leave in another order than they came would leave
    the filter behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


quiet_pillow = _QuietPillow()
"""Use as `with quiet_pillow:`; may be entered by several threads, and again inside itself."""
