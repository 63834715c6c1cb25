"""What strangers may read of an error."""

import re

from vitrail.basics.printable import printable

LONGEST_REASON = 300
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s/:,;'\"]+/)+")


def reason_of(error: BaseException) -> str:
    """An error in one line for strangers: kind and text, not where in whose folders it happened.

    >>> reason_of(ValueError("no weights in /home/ada/runs/ants/package"))
    'ValueError: no weights in …/package'
    """
    message = without_folders(getattr(error, "message", None) or str(error))
    return f"{type(error).__name__}: {printable(' '.join(message.split()))}"[:LONGEST_REASON]


def without_folders(text: str) -> str:
    """A text whose paths are shortened to their last part."""
    return _FOLDERS.sub("…/", text)
