"""What an admission says of before and after, in a few words for a proposal's history."""

import json
from pathlib import Path
from typing import Any

from vitrail.basics.errors import DamagedError


def told_before_after(report: Path) -> dict[str, Any]:
    """Sentences and figures from an admission's `report.json`; nothing where it has no groups.

    Raises:
        DamagedError: it is no report.
    """
    try:
        sections = json.loads(report.read_text())["sections"]
        found = sections.get("before_after")
        if found is None:
            return {}
        sentence = " ".join(each["text"] for each in found["sentences"])
        return {"sentence": sentence, "before_after": found["figures"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{report} cannot be read: {error}", hint="admit the version again") from error
